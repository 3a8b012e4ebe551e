import EventLog
import Processor
import Testing
import TestSupport

extension BrokerSuite {
  @Suite(.serialized) struct TopicReaderTests {
    private func reader(_ bench: Bench) throws -> TopicReader {
      try TopicReader(bench.options(), report: quiet)
    }

    /// Reads until every range has come to its end.
    private func readAll(_ reader: TopicReader, recordsMax: Int = 1_000) throws -> [Found] {
      var found: [Found] = []
      let patience = Patience()
      while let poll = try reader.poll(recordsMax: recordsMax, timeoutMilliseconds: 100) {
        try patience.check("the end after \(found.count) records: \(reader.positions)")
        #expect(poll.records.count <= recordsMax)
        found += poll.records.map { Found($0, poll) }
      }
      return found
    }

    private func byPartition(_ found: [Found]) -> [TopicPartition: [String?]] {
      Dictionary(grouping: found, by: \.partition).mapValues { $0.map(\.value) }
    }

    /// librdkafka alone would wait for a second, ten polls, each time that its queue has been full.
    @Test func fetchingGoesOnWhileTheQueueEmpties() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic()
      let log = try bench.log(topic)
      let values = Array(repeating: String(repeating: "v", count: 500), count: 10_000)
      for _ in 0..<8 { try log.write(topic, values) }
      try bench.awaitMarkers(log, topic)
      log.close(timeoutMilliseconds: 10_000)
      let small = bench.options(["consumer.queued.max.messages.kbytes": "2048"])
      let reader = try TopicReader(small, report: quiet)
      try reader.open(try reader.ranges(of: [topic], from: .beginning))
      var (records, empty) = (0, 0)
      let patience = Patience()
      while let poll = try reader.poll(recordsMax: 200, timeoutMilliseconds: 100) {
        try patience.check("the end after \(records) records")
        records += poll.records.count
        if poll.records.isEmpty { empty += 1 }
      }
      #expect(records == 80_000)
      // 40 MB through 2 MB: twenty such seconds.
      #expect(empty < 100, "\(empty) polls found nothing")
    }

    /// Transactions over several partitions, some of them aborted, and then any ranges of offsets.
    @Test func rangesHoldWhatWasCommitted() async throws {
      let seed = UInt64.random(in: .min ... .max)
      var random = SplitMix64(seed: seed)
      let bench = try await Bench()
      let topic = try bench.newTopic(5)
      let log = try bench.log(topic)
      var written: [TopicPartition: [String?]] = [:]
      for transaction in 0..<60 {
        let isAborted = random.next() % 4 == 0
        // Nothing is added to a transaction before the last one has its markers, and nothing can't be aborted.
        if isAborted { try bench.awaitMarkers(log, topic, partitions: 5) }
        try log.begin()
        for index in 0..<random.next() % 40 {
          // The last partition stays empty.
          let partition = Int32(random.next() % 4)
          let value = random.next() % 10 == 0 ? nil : "\(transaction)/\(index)"
          try log.send(topic, partition, key: "k", value: value)
          if !isAborted { written[TopicPartition(topic, partition), default: []].append(value) }
        }
        if isAborted { try log.abort() } else { try log.commit([]) }
      }
      try bench.awaitMarkers(log, topic, partitions: 5)
      log.close(timeoutMilliseconds: 10_000)
      let all = try reader(bench)
      let ranges = try all.ranges(of: [topic], from: .beginning)
      #expect(ranges.map(\.partition.partition) == [0, 1, 2, 3, 4])
      try all.open(ranges)
      let found = try readAll(all, recordsMax: 77)
      #expect(byPartition(found) == written, "seed \(seed)")
      for partition in 0..<Int32(4) {
        let here = found.filter { $0.partition.partition == partition }
        #expect(here.map(\.offset) == here.map(\.offset).sorted(), "seed \(seed)")
      }
      for _ in 0..<5 {
        let cut = ranges.map { range in
          let ends = [0, 1].map { _ in Int64(random.next() % UInt64((range.to ?? 0) + 1)) }.sorted()
          return ReadRange(range.partition, from: ends[0], to: ends[1])
        }
        let part = try reader(bench)
        try part.open(cut)
        let expected = cut.map { range in
          found.filter {
            $0.partition == range.partition && $0.offset >= range.from && $0.offset < range.to ?? 0
          }
        }
        let read = try readAll(part)
        #expect(
          cut.map { range in read.filter { $0.partition == range.partition } } == expected,
          "seed \(seed): \(cut)")
      }
    }

    @Test func anEndlessReadGoesOn() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic(2)
      let log = try bench.log(topic)
      defer { log.close(timeoutMilliseconds: 10_000) }
      try log.write(topic, ["old"])
      try bench.awaitMarkers(log, topic)
      let reader = try reader(bench)
      try reader.open(try reader.ranges(of: [topic], from: .end, isEndless: true))
      let patience = Patience()
      var found: [String?] = []
      for round in 0..<3 {
        try log.write(topic, ["\(round)"], partition: Int32(round % 2))
        while found.count < round + 1 {
          try patience.check("round \(round)")
          let poll = try #require(try reader.poll(recordsMax: 10, timeoutMilliseconds: 100))
          found += poll.records.map { Found($0, poll).value }
        }
      }
      #expect(found == ["0", "1", "2"])
    }

    @Test func aTimeIsFound() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic(2)
      let log = try bench.log(topic)
      defer { log.close(timeoutMilliseconds: 10_000) }
      try log.write(topic, ["a", "b"])
      try bench.awaitMarkers(log, topic)
      let first = try self.reader(bench)
      try first.open(try first.ranges(of: [topic], from: .beginning))
      let time = try #require(try readAll(first).last?.time)
      let patience = Patience()
      // A record of a later millisecond.
      var later: Found?
      while later == nil {
        try patience.check("a later record")
        try log.write(topic, ["c"])
        try bench.awaitMarkers(log, topic)
        let again = try self.reader(bench)
        try again.open(try again.ranges(of: [topic], from: .time(milliseconds: time + 1)))
        later = try readAll(again).first
      }
      #expect(later?.value == "c")
      let none = try self.reader(bench)
      try none.open(try none.ranges(of: [topic], from: .time(milliseconds: time + 10_000_000)))
      #expect(try readAll(none) == [])
    }

    @Test func whatIsNotThereIsAnError() async throws {
      let bench = try await Bench()
      let reader = try reader(bench)
      let missing = TestBroker.unique("missing")
      let ofMissing = try remedy { _ = try reader.ranges(of: [missing], from: .beginning) }
      #expect(ofMissing == .fatal)
      let topic = TopicPartition(try bench.newTopic(), 0)
      try reader.open([ReadRange(topic, from: 5, to: 9)])
      let error = #expect(throws: LogError.self) { try readAll(reader) }
      #expect(error?.remedy == .outOfRange(topic))
      #expect(error?.message.contains("at offset 5") == true)
    }
  }
}
