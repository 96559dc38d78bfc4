#!/usr/bin/perl
# Asks the service "web" by its name every two seconds and prints the answer.
use strict;
use warnings;
use IO::Socket::INET;

$| = 1;
$SIG{$_} = sub { exit 0 } for qw(TERM INT);

while (1) {
    my $answer;
    if (my $s = IO::Socket::INET->new(PeerAddr => 'web', PeerPort => 8080, Timeout => 2)) {
        print $s "GET / HTTP/1.0\r\n\r\n";
        $answer = (split /\r\n\r\n/, join('', <$s>), 2)[1];
    }
    print $answer // "web does not answer: $@\n";
    sleep 2;
}
