import Foundation
import Synchronization
import TestSupport

/// Stands between a store and its server, and does something after so many bytes of the first connection.
final class FaultyProxy: Sendable {
  enum Direction: Sendable { case toServer, toClient }

  enum Fault: Sendable {
    /// Closes both sides.
    case cut
    /// Calls this and goes on.
    case call(@Sendable () -> Void)
  }

  struct Plan: Sendable {
    var direction: Direction
    var bytes: Int
    var fault: Fault
  }

  let path: String
  private let serverPath: String
  private let listener: Int32
  private let plan: Plan
  private let counts = Mutex((toServer: 0, toClient: 0))
  private let isPlanned = Mutex(true)

  /// Bytes that have passed, over all connections.
  var bytesPassed: (toServer: Int, toClient: Int) { counts.withLock { $0 } }

  init(to server: RedisServer, _ plan: Plan, name: String = "proxy") throws {
    path = server.folder.appendingPathComponent(name).path
    serverPath = server.socket
    self.plan = plan
    listener = try ProxySocket.listening(at: .path(path)).descriptor
    let thread = Thread { [self] in serve() }
    thread.start()
  }

  /// Ends the proxy; a connection that is open goes on until one side closes it.
  func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

  private func serve() {
    while true {
      let client = accept(listener, nil, nil)
      guard client >= 0 else { break }
      if let server = ProxySocket.connected(to: .path(serverPath)) {
        forward(
          client, server,
          isPlanned.withLock { planned in
            defer { planned = false }; return planned
          })
        close(server)
      }
      close(client)
    }
    close(listener)
  }

  private func forward(_ client: Int32, _ server: Int32, _ isFaulty: Bool) {
    var remaining = isFaulty ? plan.bytes : Int.max
    if remaining == 0, !act(&remaining) { return }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      var waits = [
        pollfd(fd: client, events: Int16(POLLIN), revents: 0),
        pollfd(fd: server, events: Int16(POLLIN), revents: 0),
      ]
      guard poll(&waits, 2, -1) > 0 else { return }
      for (index, direction) in [Direction.toServer, .toClient].enumerated() where waits[index].revents != 0 {
        let isCounted = direction == plan.direction
        let room = isCounted ? min(buffer.count, remaining) : buffer.count
        let count = read(index == 0 ? client : server, &buffer, room)
        guard count > 0, ProxySocket.sendAll(index == 0 ? server : client, buffer[..<count]) else { return }
        counts.withLock {
          if direction == .toServer { $0.toServer += count } else { $0.toClient += count }
        }
        if isCounted && remaining != Int.max {
          remaining -= count
          if remaining == 0, !act(&remaining) { return }
        }
      }
    }
  }

  /// False if the connection ends here.
  private func act(_ remaining: inout Int) -> Bool {
    remaining = Int.max
    switch plan.fault {
    case .cut: return false
    case .call(let body):
      body()
      return true
    }
  }
}
