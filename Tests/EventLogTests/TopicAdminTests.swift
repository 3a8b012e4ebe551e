import EventLog
import Testing

extension BrokerSuite {
  @Suite(.serialized) struct TopicAdminTests {
    @Test func topicsAreCreatedAndDescribed() async throws {
      let bench = try await Bench()
      let admin = try TopicAdmin(bench.options(), report: quiet)
      let good = TopicDescription(
        name: TestBroker.unique("good"), partitions: 5, replication: 1,
        configuration: ["cleanup.policy": "compact", "retention.ms": "1234567"])
      let bad = TopicDescription(
        name: TestBroker.unique("bad"), partitions: 1, replication: 1, configuration: ["no.such": "1"])
      let outcomes = try admin.create([good, bad])
      #expect(outcomes.first == .created)
      guard case .refused(let reason) = outcomes.last else {
        Issue.record("\(outcomes)")
        return
      }
      #expect(!reason.isEmpty)
      #expect(try admin.create([good]) == [.existed])
      #expect(try admin.create([]) == [])
      let missing = TestBroker.unique("missing")
      let found = try admin.describe([missing, good.name, bad.name])
      #expect(found.map { $0 == nil } == [true, false, true])
      let described = try #require(found[1])
      #expect(described.name == good.name)
      #expect(described.partitions == 5)
      #expect(described.replication == 1)
      #expect(described.configuration["cleanup.policy"] == "compact")
      #expect(described.configuration["retention.ms"] == "1234567")
      #expect(described.configuration["max.message.bytes"] != nil)
      // Asking for a topic has not created it.
      #expect(try admin.describe([missing]) == [nil])
    }

    /// A topic beside others that are kept three times is asked for three times, as this broker's refusal shows.
    @Test func aTopicIsKeptAsOftenAsTheOthers() async throws {
      let bench = try await Bench()
      let admin = try TopicAdmin(bench.options(), report: quiet)
      let others = [1, 3, 2].map { TopicDescription(name: "other-\($0)", partitions: 2, replication: $0) }
      let usual = TopicDescription.usualReplication(among: others)
      #expect(usual == 3)
      let refused = try admin.create([
        TopicDescription(name: TestBroker.unique("thrice"), partitions: 1, replication: usual)
      ])
      guard case .refused(let reason) = try #require(refused.first) else {
        Issue.record("\(refused)")
        return
      }
      #expect(reason.contains("REPLICATION_FACTOR"), "\(reason)")
      // With nothing to go by, the brokers decide.
      let first = TopicDescription(
        name: TestBroker.unique("first"), partitions: 1,
        replication: TopicDescription.usualReplication(among: []))
      #expect(try admin.create([first]) == [.created])
      #expect(try admin.describe([first.name])[0]?.replication == 1)
    }
  }
}
