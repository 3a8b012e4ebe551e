import Foundation
import Synchronization
import TestSupport

/// The network between two, on a port of the loopback address: it can be cut, in one direction or both, and mended. What is
/// sent meanwhile waits, as TCP sends it again.
final class Wire: Sendable {
  enum Direction: CaseIterable, Sendable { case toServer, toClient }

  let port: Int
  private let server: ProxySocket.Place
  private let listener: Int32

  private struct State {
    var cut: Set<Direction> = []
    var isOver = false
    /// Counts up: each connection that there is then sees the end of one side, and loses nothing else.
    var halfClosed: [Direction: Int] = [:]
    var connections = 0
  }
  private let state = Mutex(State())

  init(to server: ProxySocket.Place) throws {
    self.server = server
    (listener, port) = try ProxySocket.listening(at: .port(0))
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
        if let server = ProxySocket.connected(to: server) {
          forward(client, server)
          close(server)
        }
        close(client)
        state.withLock { $0.connections -= 1 }
      }
    }
    close(listener)
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
        } else if !ProxySocket.sendAll(receiver, buffer[..<count]) {
          return
        }
      }
      if ended.count == 2 { return }
    }
  }
}
