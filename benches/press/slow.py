"""Times `pressrun send` against a server whose every reply takes so long; prints what round trips and connections allow, and what a
client gets through the same proxy that pipelines too and does nothing else."""
import asyncio
import multiprocessing
import selectors
import statistics
import tempfile
import time

from room import CONNECTIONS, Newsroom, Sink, free_port, wait_for


def delayed(port, to, seconds):
    """Passes everything on to the sink. What the sink says comes so long after what it answers, its own time and ours included."""

    async def client(reader, writer):
        from_sink, to_sink = await asyncio.open_connection("127.0.0.1", to)
        loop = asyncio.get_running_loop()
        heard = said = loop.time()

        async def there():
            nonlocal heard
            while data := await reader.read(1 << 18):
                heard = loop.time()
                to_sink.write(data)
            to_sink.close()

        def say(what, *arguments):
            # What is due at the same moment has no order of its own.
            nonlocal said
            said = max(said + 1e-6, heard + seconds)
            loop.call_at(said, what, *arguments)

        async def back():
            while data := await from_sink.read(1 << 16):
                say(writer.write, data)
            say(writer.close)

        await asyncio.gather(there(), back(), return_exceptions=True)

    async def serve():
        server = await asyncio.start_server(client, "127.0.0.1", port, limit=1 << 18)
        await server.serve_forever()

    # select(2) waits for so many microseconds; asyncio's usual epoll rounds up to milliseconds.
    asyncio.SelectorEventLoop(selectors.SelectSelector()).run_until_complete(serve())


ENVELOPE = b"MAIL FROM:<a@bench.example>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"


def bare(port, mails, size):
    """Mails a second of a client that has one mail, asks nobody and writes nothing down."""
    lines = (b"x" * 74 + b"\r\n") * (size // 76)

    async def line():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        writer.write(b"EHLO bench.example\r\n")
        while (await reader.readline())[3:4] == b"-":
            pass
        writer.write(ENVELOPE)
        await hear(reader, 3)
        for left in reversed(range(mails // CONNECTIONS)):
            writer.write(lines + b".\r\n" + (ENVELOPE if left else b""))
            await hear(reader, 4 if left else 1)
        writer.close()

    async def hear(reader, replies):
        for _ in range(replies):
            await reader.readline()

    async def all_lines():
        await asyncio.gather(*(line() for _ in range(CONNECTIONS)))

    start = time.monotonic()
    asyncio.run(all_lines())
    return time.monotonic() - start


def measure(args):
    seconds, rates, bares = args.slow / 1000, [], []
    # A mail costs one round trip: its last octet and the next mail's envelope go together (RFC 2920).
    allowed = CONNECTIONS / seconds
    for n in range(args.rounds):
        with tempfile.TemporaryDirectory() as work, Sink() as sink:
            port = free_port()
            proxy = multiprocessing.Process(target=delayed, args=(port, sink.port, seconds), daemon=True)
            proxy.start()
            wait_for(port)
            room = Newsroom(work, args.pressrun, args.readers)
            sent = room.send(port)
            least = bare(port, args.readers, room.mail)
            proxy.kill()
        # Greeting, EHLO and the first envelope: three round trips before the first mail.
        rates.append(args.readers / (sent.wall - 3 * seconds))
        bares.append(args.readers / (least - 3 * seconds))
        print(f"round {n + 1}: {rates[-1]:,.1f}/s, {rates[-1] / allowed:.0%} of what is allowed; the bare client {bares[-1]:,.1f}/s", flush=True)
    print(f"median of {args.rounds}: {statistics.median(rates):,.1f}/s; {CONNECTIONS} connections and one round trip of "
          f"{args.slow:g} ms a mail allow {allowed:,.0f}/s: {statistics.median(rates) / allowed:.0%}; "
          f"{statistics.median(r / b for r, b in zip(rates, bares)):.0%} of the bare client")
