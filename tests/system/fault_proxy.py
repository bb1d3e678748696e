"""A proxy for tcp that misbehaves on command: what `tc netem` does, where the kernel has none.

Every connection to `port` is passed on to `target`. The faults hold for all connections, those that are open included:
`delay` in seconds and `rate` in bytes a second hold data up; `silent_to_client` and `silent_to_server` stop passing on
what comes from the other side without closing anything (one of them is a one-way cut, both are a half-open link);
`reset()` ends all connections with RST; `refusing` accepts none.
"""
import asyncio
import socket
import struct
import threading

CHUNK = 16 * 1024


class FaultProxy:
    def __init__(self, target_port, port=0):
        self.target_port = target_port
        self.heal()
        self.writers = set()
        self.resets = 0
        self.loop = asyncio.new_event_loop()
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def heal(self):
        self.delay = 0.0
        self.rate = 0
        self.silent_to_client = self.silent_to_server = self.refusing = False

    def reset(self):
        self.loop.call_soon_threadsafe(self._reset)

    def address(self):
        return f"tcp://127.0.0.1:{self.port}"

    # --- On the proxy's own thread ---

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self._serve, sock=self.listener))
        self.loop.run_forever()

    def _reset(self):
        for writer in list(self.writers):
            self.resets += 1
            # Lingering for no time, a closed socket says RST.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _serve(self, reader, writer):
        if self.refusing:
            return writer.transport.abort()
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            return writer.transport.abort()
        self.writers |= {writer, to_writer}
        ways = [asyncio.ensure_future(self._pass(reader, to_writer, "silent_to_server")),
                asyncio.ensure_future(self._pass(to_reader, writer, "silent_to_client"))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        self.writers -= {writer, to_writer}
        writer.transport.abort()
        to_writer.transport.abort()

    async def _pass(self, reader, writer, silence):
        try:
            while data := await reader.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                if self.rate:
                    await asyncio.sleep(len(data) / self.rate)
                while getattr(self, silence):  # What came waits here, as in the buffers of a link that is cut.
                    await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
