"""The shop: one product from PostgreSQL and a counter in Redis, as JSON.

GET /        the product of the day and how often anyone asked
GET /health  200 if both stores answer, 503 otherwise
"""
import json
import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2
import redis

cache = redis.Redis(host=os.environ["REDIS_HOST"], socket_timeout=2, socket_connect_timeout=2)


def query(sql, args=()):
    """Return the first row, over a connection of its own."""
    with open(os.environ["DB_PASSWORD_FILE"]) as f:
        password = f.read().strip()
    connection = psycopg2.connect(
        host=os.environ["DB_HOST"], user="shop", dbname="shop", password=password, connect_timeout=2)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql, args)
            return cursor.fetchone()
    finally:
        connection.close()


def front_page():
    visits = cache.incr("visits")
    name, price = query("SELECT name, price FROM products WHERE id = %s", (visits % 3 + 1,))
    return {"product": name, "price": str(price), "visits": visits, "replica": socket.gethostname()}


def health():
    cache.ping()
    query("SELECT 1")
    return {"status": "ok"}


class Handler(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self):
        page = {"/": front_page, "/health": health}.get(self.path)
        if page is None:
            return self.answer(404, {"error": "not found"})
        try:
            self.answer(200, page())
        except (psycopg2.Error, redis.RedisError, OSError) as error:
            self.log_error("cannot answer %s: %s", self.path, error)
            self.answer(503, {"error": "a store does not answer"})

    def answer(self, code, value):
        body = json.dumps(value).encode() + b"\n"
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code="-", size="-"):
        if self.path != "/health":
            super().log_request(code, size)


class Server(ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    server = Server(("", 8000), Handler)
    # The first process of a container gets only the signals that it handles.
    # shutdown() waits for the loop, which this very thread runs.
    stop = lambda *_: threading.Thread(target=server.shutdown).start()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print("shop: listening on port 8000", flush=True)
    server.serve_forever()
