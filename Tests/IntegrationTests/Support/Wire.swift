import Foundation
import Synchronization
import TestSupport

/// The network between two, on a port of the loopback address: it can be cut, in one direction or both, and mended. What is
/// sent meanwhile waits, as TCP sends it again.
final class Wire: Sendable {
  enum Direction: CaseIterable, Sendable { case toServer, toClient }

  enum Server: Sendable {
    case port(Int)
    /// A Unix socket.
    case path(String)
  }

  let port: Int
  private let server: Server
  private let listener: Int32

  private struct State {
    var cut: Set<Direction> = []
    var isOver = false
    /// Counts up: each connection that there is then sees the end of one side, and loses nothing else.
    var halfClosed: [Direction: Int] = [:]
    var connections = 0
  }
  private let state = Mutex(State())

  init(to server: Server) throws {
    self.server = server
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listener = listener
    let code = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 128) == 0
          ? getsockname(listener, $0, &length) : -1
      }
    }
    guard code == 0 else { throw Failure("cannot listen: errno \(errno)") }
    port = Int(UInt16(bigEndian: address.sin_port))
    Thread.detachNewThread { [self] in serve() }
  }

  /// Nothing passes in these directions until it is mended, on connections that there are and on new ones.
  func cut(_ directions: Set<Direction>) { state.withLock { $0.cut = directions } }

  func mend() { cut([]) }

  /// One side of every connection hears that the other will send no more; what goes the other way still passes.
  func halfClose(_ direction: Direction) { state.withLock { $0.halfClosed[direction, default: 0] += 1 } }

  var connections: Int { state.withLock { $0.connections } }

  /// Ends all of it.
  func stop() {
    state.withLock { $0.isOver = true }
    shutdown(listener, Int32(SHUT_RDWR))
  }

  private func serve() {
    while true {
      let client = accept(listener, nil, nil)
      guard client >= 0 else { break }
      Thread.detachNewThread { [self] in
        state.withLock { $0.connections += 1 }
        let server = connection()
        if server >= 0 { forward(client, server) }
        close(client)
        if server >= 0 { close(server) }
        state.withLock { $0.connections -= 1 }
      }
    }
    close(listener)
  }

  private func connection() -> Int32 {
    switch server {
    case .port(let port):
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = in_port_t(port).bigEndian
      address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      return connected(AF_INET, &address)
    case .path(let path):
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
      return connected(AF_UNIX, &address)
    }
  }

  private func connected<Address>(_ family: Int32, _ address: inout Address) -> Int32 {
    let descriptor = socket(family, Int32(SOCK_STREAM.rawValue), 0)
    let code = withUnsafeBytes(of: &address) {
      connect(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
    }
    if code == 0 { return descriptor }
    close(descriptor)
    return -1
  }

  private func forward(_ client: Int32, _ server: Int32) {
    let ends = [Direction.toServer: (client, server), .toClient: (server, client)]
    var halfClosed = state.withLock { $0.halfClosed }
    var ended: Set<Direction> = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let now = state.withLock { $0 }
      if now.isOver { return }
      for (direction, (_, receiver)) in ends where now.halfClosed[direction] != halfClosed[direction] {
        shutdown(receiver, Int32(SHUT_WR))
        ended.insert(direction)
      }
      halfClosed = now.halfClosed
      let open = Direction.allCases.filter { !now.cut.contains($0) && !ended.contains($0) }
      var waits = open.map { pollfd(fd: ends[$0]!.0, events: Int16(POLLIN), revents: 0) }
      // A state that has changed is seen soon.
      _ = poll(&waits, nfds_t(waits.count), 5)
      for (direction, wait) in zip(open, waits) where wait.revents != 0 {
        let (sender, receiver) = ends[direction]!
        let count = read(sender, &buffer, buffer.count)
        if count < 0 { return }
        if count == 0 {
          shutdown(receiver, Int32(SHUT_WR))
          ended.insert(direction)
        } else if !sendAll(receiver, buffer[..<count]) {
          return
        }
      }
      if ended.count == 2 { return }
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
}
