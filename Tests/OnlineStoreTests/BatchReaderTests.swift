import Foundation
import OnlineStore
import Processor
import Testing

/// Reads in two halves: whoever begins one need not be the one who waits.
@Suite(.enabled(if: RedisServer.isAvailable, "redis-server is not installed"))
struct BatchReaderTests {
  private let server: RedisServer
  private let reader: BatchReader
  private let lookups = ["a", "none"].map {
    BatchReader.Lookup(task: "clicks.0", view: "v", key: Array($0.utf8))
  }

  init() throws {
    server = try RedisServer()
    var options = server.options
    options.reconnectDelayMilliseconds = 0
    reader = BatchReader(options, name: "shop")
    let store = RedisStateStore(server.options, keys: storeKeys)
    try store.commit(
      "clicks.0", epoch: try store.claim("clicks.0").epoch, from: nil, to: 7, states: states(["a": "1"]))
  }

  private func check(_ outcome: BatchReader.Outcome?) {
    #expect(outcome?.found.map { $0.state.map { String(decoding: $0, as: UTF8.self) } } == ["1", nil])
    #expect(outcome?.found.map(\.position) == [7, 7])
    #expect(outcome?.live == nil)
  }

  @Test func nothingBeginsWithoutAConnection() throws {
    #expect(!reader.begin(version: 1, lookups))
    check(try reader.read(version: 1, lookups))
    #expect(!reader.begin(version: 1, []))
    #expect(reader.begin(version: 1, lookups))
    #expect(reader.isAnswered(withinMilliseconds: 10_000))
    check(try reader.finish(mayBlock: false))
    #expect(reader.roundTrips == 2)
  }

  /// Else a request would wait for twice the time that it may.
  @Test func aNodeThatIsSilentIsAskedOnce() throws {
    var options = server.options
    options.commandTimeoutMilliseconds = 300
    let reader = BatchReader(options, name: "shop")
    check(try reader.read(version: 1, lookups))
    server.pause(true)
    let error = #expect(throws: StoreError.self) { try reader.read(version: 1, lookups) }
    #expect(error?.message.contains("timed out") ?? false && reader.roundTrips == 2)
    server.pause(false)
  }

  @Test func whatIsSlowIsCompletedLater() throws {
    check(try reader.read(version: 1, lookups))
    server.pause(true)
    #expect(reader.begin(version: 1, lookups))
    #expect(!reader.isAnswered(withinMilliseconds: 1))
    server.pause(false)
    check(try reader.finish())
  }

  /// The connection ended while nobody used it: the one who must not block says so, and another makes it anew.
  @Test func aLostConnectionIsMadeByWhoMayBlock() throws {
    check(try reader.read(version: 1, lookups))
    try server.ask("CLIENT", ["KILL", "TYPE", "normal", "SKIPME", "yes"])
    // If the end has arrived already, sending fails and nothing has begun.
    if reader.begin(version: 1, lookups) {
      #expect(reader.isAnswered(withinMilliseconds: 10_000))
      #expect(try reader.finish(mayBlock: false) == nil)
      check(try reader.finish())
    }
    check(try reader.read(version: 1, lookups))
  }
}
