"""Holds so many connections to a port of this machine, says nothing on them, and makes those anew that are closed.

    idle.py PORT COUNT
"""
import resource, select, socket, sys

port, count = map(int, sys.argv[1:])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
connect = lambda: socket.create_connection(("127.0.0.1", port), timeout=30)
sockets = {s.fileno(): s for s in (connect() for _ in range(count))}
poll = select.poll()
for descriptor in sockets:
    poll.register(descriptor, select.POLLIN)
print("connected", flush=True)
while True:
    for descriptor, _ in poll.poll():
        s = sockets[descriptor]
        try:
            if s.recv(4096):
                continue
        except OSError:
            pass
        poll.unregister(descriptor)
        del sockets[descriptor]
        s.close()
        s = connect()
        sockets[s.fileno()] = s
        poll.register(s.fileno(), select.POLLIN)
