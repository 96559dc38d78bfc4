#!/usr/bin/perl
# A web server in a few lines of perl-base: it tells how often each client asked.
#   web.pl           serve on port 8080
#   web.pl --probe   succeed if the server answers
use strict;
use warnings;
use IO::Socket::INET;

my $port = 8080;

if (@ARGV && $ARGV[0] eq '--probe') {
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 2)
        or die "nothing listens on port $port: $@\n";
    print $s "GET /probe HTTP/1.0\r\n\r\n";
    my $status = <$s> // '';
    die "unexpected answer: $status\n" unless $status =~ m{^HTTP/1\.\d 200};
    exit 0;
}

$| = 1;
# The first process of a container gets only the signals that it handles.
$SIG{$_} = sub { print "web: stopping\n"; exit 0 } for qw(TERM INT);
$SIG{PIPE} = 'IGNORE';

my $listener = IO::Socket::INET->new(LocalPort => $port, Listen => 64, ReuseAddr => 1)
    or die "cannot listen on port $port: $@\n";
print "web: listening on port $port\n";

my %calls;
while (1) {
    my $client = $listener->accept or next;
    # A client that says nothing must not keep the others waiting.
    $client->sockopt(SO_RCVTIMEO, pack('l!l!', 2, 0));
    my $request = <$client> // '';
    while (defined(my $line = <$client>)) { last if $line =~ /^\r?\n$/ }
    my ($path) = $request =~ m{^GET (\S+)} or next;
    my $from = $client->peerhost // '?';
    $calls{$from}++ unless $path eq '/probe';
    my $body = $path eq '/probe' ? "ok\n" : "hello from the web service, call $calls{$from} from $from\n";
    print $client "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ",
        length $body, "\r\nConnection: close\r\n\r\n", $body;
    close $client;
}
