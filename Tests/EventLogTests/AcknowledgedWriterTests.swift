import Foundation
import EventLog
import LocalBroker
import Processor
import Testing
import TestSupport

extension BrokerSuite {
  /// Which records the brokers have, told for each.
  @Suite(.serialized) struct AcknowledgedWriterTests {
    @Test func eachRecordHasItsOwnOutcome() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic(4)
      let writer = try AcknowledgedWriter(bench.options(), timeoutMilliseconds: 10_000, report: quiet)
      func record(_ name: String, _ key: String?, _ value: [UInt8]) -> AcknowledgedWriter.Record {
        .init(topic: name, key: key.map { Array($0.utf8) }, value: value)
      }
      let huge = [UInt8](repeating: 65, count: 64 << 20)
      let outcomes = writer.write([
        record(topic, "a", Array("1".utf8)), record(topic, "a", huge), record(topic, "b", Array("2".utf8)),
        record(topic, nil, Array("3".utf8)),
      ])
      #expect(outcomes.map { $0 == nil } == [true, false, true, true])
      #expect(
        outcomes[1]?.message.contains("MSG_SIZE_TOO_LARGE") == true, "\(String(describing: outcomes[1]))")
      // A second batch has numbers of its own.
      let more = (0..<500).map { record(topic, "k\($0)", Array("\($0)".utf8)) }
      #expect(writer.write(more).allSatisfy { $0 == nil })
      #expect(writer.write([]).isEmpty && !writer.hasDied)
      let found = try bench.read(topic, count: 503)
      let values = ["1", "2", "3"] + (0..<500).map { "\($0)" }
      #expect(found.compactMap(\.value).sorted() == values.sorted())
    }

    /// What brokers that are away don't take in time is given up, and doesn't come later.
    @Test func whatIsLateIsGivenUp() async throws {
      let directory = try TemporaryFolder()
      var configuration = TestBroker.configuration()
      configuration.dataDirectory = directory.url.path
      let broker = try await LocalBroker.start(configuration)
      configuration.port = broker.port
      let bench = Bench(brokers: "127.0.0.1:\(broker.port)")
      let topic = try bench.newTopic()
      let writer = try AcknowledgedWriter(bench.options(), timeoutMilliseconds: 500, report: quiet)
      func write(_ value: String) -> LogError? {
        writer.write([.init(topic: topic, key: nil, value: Array(value.utf8))])[0]
      }
      let patience = Patience()
      // A new client may need longer than half a second on a busy machine.
      var last = 0
      while write("before \(last)") != nil {
        try patience.check("the first record")
        last += 1
      }
      try await broker.stop()
      for _ in 0..<3 { #expect(write("lost") != nil) }
      let restarted = try await LocalBroker.start(configuration)
      while write("after") != nil { try patience.check("the brokers' return") }
      let reader = Reader(try Bench(brokers: bench.brokers).log(topic))
      var values: [String] = []
      while !values.contains("after") {
        try patience.check("what is in the topic: \(values)")
        values += try reader.poll().compactMap(\.value)
      }
      reader.log.close(timeoutMilliseconds: 5_000)
      #expect(values.contains("before \(last)") && !values.contains("lost"))
      try await restarted.stop()
    }
  }
}
