import CRDKafka
import EventLog
import Processor
import Testing

extension BrokerSuite {
  /// Reading and writing, with one member.
  @Suite(.serialized) struct LogTests {
    @Test(arguments: KafkaDelivery.allCases)
    func recordsComeAsTheyWereWritten(delivery: KafkaDelivery) async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic(2)
      let log = try bench.log(topic, bench.options(delivery: delivery))
      let written: [(Int32, String?, String?)] = [
        (0, "k", "v"), (1, nil, "w"), (0, "k", nil), (0, "", ""),
        (1, "ключ", String(repeating: "x", count: 100_000)),
      ]
      try log.begin()
      for (partition, key, value) in written { try log.send(topic, partition, key: key, value: value) }
      try log.commit([])
      let reader = Reader(log)
      let found = try reader.read(written.count)
      for partition in [Int32(0), 1] {
        let here = found.filter { $0.partition.partition == partition }
        let there = written.filter { $0.0 == partition }
        #expect(here.map(\.key) == there.map(\.1))
        #expect(here.map(\.value) == there.map(\.2))
        #expect(here.map(\.offset) == (0..<Int64(there.count)).map { $0 })
        #expect(here.allSatisfy { ($0.time ?? 0) > 1_500_000_000_000 })
      }
      #expect(log.counters.recordsFetched == written.count)
      #expect(log.counters.recordsSent == written.count)
      #expect(log.counters.commits == 1)
      let marks = try log.watermarks(TopicPartition(topic, 1))
      #expect(marks.low == 0)
      // The mark of the transaction takes an offset.
      #expect(marks.high == (delivery == .exactlyOnce ? 3 : 2))
      #expect(log.lag(TopicPartition(topic, 1)).map { $0 <= 1 } == true)
      #expect(log.close(timeoutMilliseconds: 10_000))
    }

    @Test func batchesAreBoundedAndInOrder() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic()
      let log = try bench.log(topic)
      let values = (0..<20_000).map { "\($0)" }
      try log.write(topic, values)
      let reader = Reader(log)
      var found: [String?] = []
      let patience = Patience()
      while found.count < values.count {
        try patience.check("all records")
        let records = try reader.poll(recordsMax: 777)
        #expect(records.count <= 777)
        found += records.map(\.value)
      }
      #expect(found == values)
      log.close(timeoutMilliseconds: 10_000)
    }

    @Test func keysArePlacedByMurmur2() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic(7)
      let log = try bench.log(topic)
      let keys = (0..<500).map { "user-\($0)" } + ["", "é", String(repeating: "k", count: 999)]
      try log.begin()
      for key in keys { try log.send(topic, nil, key: key, value: key) }
      try log.commit([])
      let found = try Reader(log).read(keys.count)
      #expect(Set(found.map(\.key)) == Set(keys))
      for record in found {
        let key = try #require(record.key)
        // murmur2_random places empty keys, like null ones, anywhere.
        if key.isEmpty { continue }
        let bytes = Array(key.utf8)
        #expect(
          record.partition.partition == rd_kafka_msg_partitioner_murmur2(nil, bytes, bytes.count, 7, nil, nil)
        )
      }
      log.close(timeoutMilliseconds: 10_000)
    }

    @Test func pauseResumeAndSeek() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic(2)
      let log = try bench.log(topic)
      let reader = Reader(log)
      try reader.join()
      let (paused, other) = (TopicPartition(topic, 0), TopicPartition(topic, 1))
      try log.write(topic, ["a", "b"])
      #expect(try reader.read(2).map(\.value) == ["a", "b"])
      try log.pause([paused])
      try log.write(topic, ["c", "d"])
      try log.write(topic, ["x"], partition: 1)
      #expect(try reader.read(1).map(\.partition) == [other])
      try log.resume([paused])
      #expect(try reader.read(2).map(\.value) == ["c", "d"])
      try log.seek(paused, to: 1)
      #expect(try reader.read(3).map(\.value) == ["b", "c", "d"])
      // Forward, over records that may have been fetched already.
      try log.seek(paused, to: 0)
      try log.seek(paused, to: 4)
      #expect(try reader.read(1).map(\.value) == ["d"])
      log.close(timeoutMilliseconds: 10_000)
    }

    @Test func aPauseEndsWithTheAssignment() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic()
      let log = try bench.log(topic)
      let reader = Reader(log)
      try reader.join()
      let partition = TopicPartition(topic, 0)
      try log.write(topic, ["a"])
      #expect(try reader.read(1).map(\.value) == ["a"])
      try log.pause([partition])
      try log.unassign([partition])
      try log.assign([(partition, 0)])
      #expect(try reader.read(1).map(\.value) == ["a"])
      // So fast that the assignment has not begun when it is paused.
      try log.unassign([partition])
      try log.assign([(partition, 0)])
      try log.pause([partition])
      try log.resume([partition])
      try log.seek(partition, to: 0)
      #expect(try reader.read(1).map(\.value) == ["a"])
      log.close(timeoutMilliseconds: 10_000)
    }

    @Test func offsetsOutsideTheLogAreReported() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic()
      let log = try bench.log(topic)
      try log.write(topic, ["a"])
      let partition = TopicPartition(topic, 0)
      let patience = Patience()
      var found: LogError.Remedy?
      while found == nil {
        try patience.check("an error")
        found = try remedy {
          let poll = try log.poll(recordsMax: 10, timeoutMilliseconds: 100)
          for case .assigned(let partitions) in poll.assignments {
            try log.assign(partitions.map { ($0, 77) })
          }
        }
      }
      #expect(found == .outOfRange(partition))
      try log.seek(partition, to: 0)
      #expect(try Reader(log).read(1).map(\.value) == ["a"])
      log.close(timeoutMilliseconds: 10_000)
    }

    @Test func anUnknownTopicIsNamed() async throws {
      let bench = try await Bench()
      let missing = TestBroker.unique("missing")
      let log = try bench.log(missing, bench.options(["producer.topic.metadata.propagation.max.ms": "500"]))
      let patience = Patience()
      var found: LogError?
      while found == nil {
        try patience.check("an error")
        do { _ = try log.poll(recordsMax: 1, timeoutMilliseconds: 100) } catch { found = error }
      }
      #expect(found?.remedy == .retry)
      #expect(found?.message.contains(missing) == true, "\(String(describing: found))")
      do {
        try log.write(missing, ["a"])
        Issue.record("a record went to a topic that doesn't exist")
      } catch let error as LogError {
        #expect(error.remedy == .fatal, "\(error)")
        #expect(error.message.contains(missing), "\(error)")
      }
      // Without partitions there is no share to wait for.
      log.close(timeoutMilliseconds: 500)
    }

    @Test func aFullQueueIsWaitedFor() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic()
      let log = try bench.log(topic, bench.options(["producer.queue.buffering.max.messages": "50"]))
      let values = (0..<2_000).map { "\($0)" }
      try log.write(topic, values)
      #expect(log.counters.sendWaits > 0)
      #expect(try Reader(log).read(values.count).map(\.value) == values)
      log.close(timeoutMilliseconds: 10_000)
    }
  }
}
