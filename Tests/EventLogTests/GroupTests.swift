@testable import EventLog
import Foundation
import LocalBroker
import Processor
import Testing
import TestSupport

extension BrokerSuite {
  /// Members that come and go, and a broker that does.
  @Suite(.serialized) struct GroupTests {
    /// A worker that copies a topic, exactly once.
    private final class Copier {
      let log: KafkaLog
      private let (source, target): (String, String)
      private(set) var assigned: Set<TopicPartition> = []
      /// Changes that it answers only after some more polls.
      private var postponed: [(change: LogAssignment, polls: Int)] = []
      private(set) var copied = 0

      init(_ log: KafkaLog, _ source: String, _ target: String) {
        self.log = log
        (self.source, self.target) = (source, target)
      }

      func step() throws {
        let poll = try log.poll(recordsMax: 7, timeoutMilliseconds: 10)
        let found = poll.records.map { Found($0, poll) }
        for index in postponed.indices { postponed[index].polls -= 1 }
        for ripe in postponed where ripe.polls == 0 { try answer(ripe.change) }
        postponed.removeAll { $0.polls == 0 }
        for change in poll.assignments {
          if case .revoked(let partitions) = change {
            #expect(
              found.allSatisfy { !partitions.contains($0.partition) },
              "records of \(partitions) after the revocation")
          }
          postponed.append((change, 3))
        }
        for (change, _) in postponed {
          if case .revoked(let partitions) = change {
            #expect(found.allSatisfy { !partitions.contains($0.partition) })
          }
        }
        if !found.isEmpty { try copy(found) }
      }

      private func answer(_ change: LogAssignment) throws {
        switch change {
        case .assigned(let partitions):
          let offsets = try log.committed(partitions)
          try log.assign(zip(partitions, offsets).map { ($0, $1 ?? 0) })
          assigned.formUnion(partitions)
        case .revoked(let partitions), .lost(let partitions):
          try log.unassign(partitions)
          assigned.subtract(partitions)
        }
      }

      private func copy(_ records: [Found]) throws {
        var offsets: [TopicPartition: Int64] = [:]
        do {
          try log.begin()
          for record in records {
            try log.send(target, 0, key: record.key, value: record.value)
            offsets[record.partition] = record.offset + 1
          }
          try log.commit(offsets.map { ($0.key, $0.value) })
          copied += records.count
        } catch {
          #expect(error.remedy == .abort, "\(error)")
          try log.abort()
          let partitions = Array(assigned)
          for (partition, offset) in zip(partitions, try log.committed(partitions)) {
            try log.seek(partition, to: offset ?? 0)
          }
        }
      }
    }

    /// A member with a name is asked for a partition and dies before it has given it up. Its successor comes back to the rest
    /// without a rebalance: nobody reads the partition, until a visitor makes the group share out anew.
    @Test func aPartitionThatNobodyHandsOnIsFoundAndSharedOut() async throws {
      let bench = try await Bench()
      let (source, target, visited) = (try bench.newTopic(2), try bench.newTopic(), try bench.newTopic())
      func member(_ name: String) throws -> KafkaLog {
        // Nobody is put out meanwhile.
        var options = bench.options(["consumer.session.timeout.ms": "30000"])
        options.groupInstance = name
        return try bench.log(source, options)
      }
      let patience = Patience()
      var dying: KafkaLog? = try member("a-0")
      var hasBegun = false
      while !hasBegun {
        try patience.check("the first member's share")
        for case .assigned(let partitions) in try dying!.poll(recordsMax: 1, timeoutMilliseconds: 20)
          .assignments
        {
          try dying!.assign(partitions.map { ($0, 0) })
          hasBegun = true
        }
      }
      let second = Copier(try member("b-0"), source, target)
      var isAsked = false
      while !isAsked {
        try patience.check("a revocation")
        try second.step()
        for case .revoked in try dying!.poll(recordsMax: 1, timeoutMilliseconds: 20).assignments {
          isAsked = true
        }
      }
      dying = nil
      let first = Copier(try member("a-0"), source, target)
      while first.assigned.isEmpty {
        try patience.check("the successor's share")
        try first.step()
        try second.step()
      }
      let admin = try TopicAdmin(bench.options(), report: quiet)
      func shares() throws -> [String: Int]? {
        try admin.shares(of: bench.group).map { shares in
          Dictionary(uniqueKeysWithValues: shares.map { ($0.member, $0.partitions.count) })
        }
      }
      var found: [String: Int]?
      while found == nil {
        try patience.check("a group at rest")
        try first.step()
        try second.step()
        found = try shares()
      }
      #expect(found == ["a-0": 1, "b-0": 0])
      let options = bench.options()
      let visit = Task.detached {
        try GroupRebalance.ask(options, reading: visited, timeoutMilliseconds: 60_000, report: quiet)
      }
      while try shares() != ["a-0": 1, "b-0": 1] {
        try patience.check("a share for each")
        try first.step()
        try second.step()
      }
      while second.assigned.isEmpty {
        try patience.check("the second member's share")
        try first.step()
        try second.step()
      }
      try await visit.value
      for log in [first.log, second.log] { log.close(timeoutMilliseconds: 10_000) }
    }

    @Test(arguments: ["cooperative-sticky", "range"])
    func rebalancesLoseAndRepeatNothing(strategy: String) async throws {
      let bench = try await Bench()
      let (source, target) = (try bench.newTopic(6), try bench.newTopic())
      let writer = try Bench(brokers: bench.brokers).log(source)
      let strategyProperty = ["consumer.partition.assignment.strategy": strategy]
      var members: [Copier] = []
      var written = 0
      func join() throws {
        members.append(Copier(try bench.log(source, bench.options(strategyProperty)), source, target))
      }
      func run(_ what: String, until isDone: () -> Bool) throws {
        let patience = Patience()
        while !isDone() {
          try patience.check("\(what): \(members.map { ($0.assigned.count, $0.copied) })")
          try writer.begin()
          for _ in 0..<12 {
            try writer.send(source, Int32(written % 6), key: nil, value: "\(written)")
            written += 1
          }
          try writer.commit([])
          for member in members { try member.step() }
        }
      }
      func isShared() -> Bool { members.allSatisfy { $0.assigned.count == 6 / members.count } }
      for _ in 1...3 {
        try join()
        try run("\(members.count) members", until: isShared)
        let before = members.map(\.copied)
        try run("progress", until: { zip(members, before).allSatisfy { $0.copied > $1 } })
      }
      for leaver in members.dropFirst() { #expect(leaver.log.close(timeoutMilliseconds: 10_000)) }
      members.removeLast(2)
      try run("one member", until: isShared)
      let values = (0..<written).map { "\($0)" }
      let reader = Reader(try Bench(brokers: bench.brokers).log(target))
      var copies: [String] = []
      let patience = Patience()
      while copies.count < written {
        try patience.check("\(written) copies after \(copies.count)")
        for member in members { try member.step() }
        copies += try reader.poll(timeoutMilliseconds: 10).compactMap(\.value)
      }
      copies += try reader.poll(timeoutMilliseconds: 500).compactMap(\.value)
      #expect(copies.count == written)
      #expect(copies.sorted() == values.sorted())
      for log in [writer, reader.log] + members.map(\.log) { log.close(timeoutMilliseconds: 10_000) }
    }

    @Test func aPollReturnsWithTheAssignment() async throws {
      let bench = try await Bench()
      let log = try bench.log(try bench.newTopic())
      let start = ContinuousClock.now
      let poll = try log.poll(recordsMax: 10, timeoutMilliseconds: 60_000)
      #expect(ContinuousClock.now - start < .seconds(40))
      #expect(poll.assignments.count == 1)
      log.close(timeoutMilliseconds: 10_000)
    }

    @Test func closingInTheMiddleOfAChangeLeavesTheGroup() async throws {
      let bench = try await Bench()
      let topic = try bench.newTopic()
      let first = try bench.log(topic, bench.options(["consumer.session.timeout.ms": "60000"]))
      let poll = try first.poll(recordsMax: 10, timeoutMilliseconds: 60_000)
      #expect(poll.assignments == [.assigned([TopicPartition(topic, 0)])])
      try first.begin()
      try first.send(topic, key: nil, value: "left behind")
      #expect(first.close(timeoutMilliseconds: 20_000))
      // The session would have lasted longer than anybody's patience.
      let heir = Reader(try bench.log(topic))
      try heir.join()
      try heir.log.write(topic, ["heir"])
      #expect(try heir.read(1).map(\.value) == ["heir"])
      heir.log.close(timeoutMilliseconds: 10_000)
    }

    /// A generator of live events outlasts its brokers: nothing it was told is taken is lost, however long.
    @Test func aWriterWaitsForItsBrokers() async throws {
      let patient = TopicWriter.patient(KafkaOptions(brokers: "b", group: "", transactionalID: ""))
      #expect(try patient.settings(for: .producer).contains { $0 == ("message.timeout.ms", "0") })
      let chosen = KafkaOptions(
        brokers: "b", group: "", transactionalID: "", properties: ["message.timeout.ms": "7000"])
      #expect(
        try TopicWriter.patient(chosen).settings(for: .producer).contains {
          $0 == ("message.timeout.ms", "7000")
        })
      let directory = try TemporaryFolder()
      var configuration = TestBroker.configuration()
      configuration.dataDirectory = directory.url.path
      let broker = try await LocalBroker.start(configuration)
      configuration.port = broker.port
      let bench = Bench(brokers: "127.0.0.1:\(broker.port)")
      let topic = try bench.newTopic()
      var options = bench.options(["producer.queue.buffering.max.messages": "5"])
      options.sendTimeoutMilliseconds = 200
      let writer = try TopicWriter(options, topic: topic, report: quiet)
      var sent = 0
      func send() throws {
        try Array("\(sent)".utf8).withUnsafeBytes { try writer.send(key: nil, value: $0) }
        sent += 1
      }
      try send()
      try writer.flush()
      try await broker.stop()
      // Five are taken and wait; the next isn't taken.
      #expect(try remedy { for _ in 0..<9 { try send() } } == .retry)
      #expect(sent == 6)
      let restarted = try await LocalBroker.start(configuration)
      let patience = Patience()
      while sent < 12 {
        try patience.check("\(sent) records")
        _ = try remedy { try send() }
      }
      while try remedy({ try writer.flush() }) != nil { try patience.check("the last records") }
      #expect(try bench.read(topic, count: 12).map(\.value) == (0..<12).map { "\($0)" })
      try await restarted.stop()
    }

    @Test func aBrokerThatRestartsIsWaitedFor() async throws {
      let directory = try TemporaryFolder()
      var configuration = TestBroker.configuration()
      configuration.dataDirectory = directory.url.path
      let broker = try await LocalBroker.start(configuration)
      configuration.port = broker.port
      let bench = Bench(brokers: "127.0.0.1:\(broker.port)")
      let topic = try bench.newTopic()
      var options = bench.options([
        "producer.transaction.timeout.ms": "60000", "producer.queue.buffering.max.messages": "5",
      ])
      options.requestTimeoutMilliseconds = 1_000
      options.sendTimeoutMilliseconds = 200
      let log = try bench.log(topic, options)
      let reader = Reader(log)
      try reader.join()
      try log.write(topic, ["before"])
      let before = try reader.read(1)
      #expect(before.map(\.value) == ["before"])
      try log.begin()
      try log.commit([(before[0].partition, before[0].offset + 1)])
      try await broker.stop()
      #expect(try remedy { _ = try log.watermarks(TopicPartition(topic, 0)) } == .retry)
      try log.begin()
      #expect(try remedy { for _ in 0..<6 { try log.send(topic, key: nil, value: "meanwhile") } } == .retry)
      let failed = try remedy { try log.commit([]) }
      #expect(failed == .retry || failed == .abort)
      let restarted = try await LocalBroker.start(configuration)
      let patience = Patience()
      while let remaining = try remedy({ try log.abort() }) {
        #expect(remaining == .retry)
        try patience.check("the abort")
      }
      while let remaining = try remedy({ try log.write(topic, ["after"]) }) {
        #expect(remaining == .retry || remaining == .abort)
        while try remedy({ try log.abort() }) != nil { try patience.check("the abort") }
        try patience.check("the transaction")
      }
      var after: [String?] = []
      while after.isEmpty {
        try patience.check("the record")
        after += try reader.poll().map(\.value)
      }
      #expect(after == ["after"])
      #expect(log.counters.errors > 0)
      log.close(timeoutMilliseconds: 10_000)
      try await restarted.stop()
    }
  }
}
