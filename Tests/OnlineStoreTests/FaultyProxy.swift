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
    unlink(path)
    listener = Foundation.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    let bound = Self.withAddress(path) { bind(listener, $0, $1) }
    guard listener >= 0, bound == 0, listen(listener, 16) == 0 else {
      throw Failure("cannot listen at \(path): errno \(errno)")
    }
    let thread = Thread { [self] in serve() }
    thread.start()
  }

  /// Ends the proxy; a connection that is open goes on until one side closes it.
  func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

  private func serve() {
    while true {
      let client = accept(listener, nil, nil)
      guard client >= 0 else { break }
      let server = Foundation.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
      if Self.withAddress(serverPath, { connect(server, $0, $1) }) == 0 {
        forward(
          client, server,
          isPlanned.withLock { planned in
            defer { planned = false }; return planned
          })
      }
      close(client)
      close(server)
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
        guard count > 0, sendAll(index == 0 ? server : client, buffer[..<count]) else { return }
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

  private func sendAll(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) -> Bool {
    var rest = bytes
    while !rest.isEmpty {
      let sent = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard sent > 0 else { return false }
      rest = rest.dropFirst(sent)
    }
    return true
  }

  private static func withAddress<Result>(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }
}
