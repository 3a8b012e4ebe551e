import FeatureCore
import Foundation
import Testing

@testable import Processor

/// The records of the trigger topic, written out.
@Suite struct TriggerRecordTests {
  private func plan(version: Int = 1) throws -> Plan {
    let source = Source(
      "outcomes", topic: "shop.outcomes", key: "model", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.init("model", .string), .init("n", .int64), .init("score", .double), .init("label", .bool)])
    var view = View(
      "quality", source: "outcomes", entity: ["model", "n"],
      features: [
        Feature("mean", .aggregate(Aggregate(.mean, value: "score", windows: [.last("1h")]))),
        Feature("seen", .aggregate(Aggregate(.count, windows: [.last("24h", hop: "10m"), .lifetime]))),
        Feature("latest", .aggregate(Aggregate(.max, value: "model", windows: [.last("1h")]))),
      ])
    view.triggers = [
      Trigger("worse", when: "mean_1h < 0.7 and seen_24h > 1 and latest_1h is not null", for: 1),
      Trigger("ever", when: "seen_lifetime > 1", every: 60_000_000),
    ]
    return try Plan(Definitions(name: "shop", version: version, sources: [source], views: [view]))
  }

  private func records(_ plan: Plan, model: String = #"m\"1|"#) throws -> [(key: [UInt8], value: [UInt8])] {
    let fold = TaskFold(plan, Routing(plan).inputs[1], 0, of: 1, from: 0)
    var found: [(key: [UInt8], value: [UInt8])] = []
    fold.onDue = { due in
      #expect(due.topic == "shop.triggers" && due.offset == 7)
      found.append((Array(due.key!), Array(due.value!)))
    }
    let times = [1_700_000_000_000, 1_700_000_090_000, 1_700_000_400_000] as [Int64]
    for (index, time) in times.enumerated() {
      let payload = #"{"ts":\#(time),"model":"\#(model)","n":7,"score":0.\#(index + 1),"label":true}"#
      Array(payload.utf8).withUnsafeBytes { value in
        let record = LogRecord(
          partition: 0, offset: Int64(index) + 5, timestampMilliseconds: nil, key: nil, value: value)
        withUnsafePointer(to: record) { fold.fold(UnsafeBufferPointer(start: $0, count: 1)) }
      }
    }
    return found
  }

  @Test func whatARecordSays() throws {
    let plan = try plan()
    let found = try records(plan)
    #expect(
      found.map { String(decoding: $0.key, as: UTF8.self) } == Array(repeating: #"quality:m"1\||7"#, count: 2)
    )
    let texts = found.map { String(decoding: $0.value, as: UTF8.self) }
    let fingerprint = fingerprintText(plan.views[0].fingerprint)
    let reader = TriggerReader()
    let worse = try #require(found.last?.value.withUnsafeBytes { reader.read($0) })
    let expected = [
      #"{"id":"\#(worse.id)","app":"shop","version":1,"view":"quality","trigger":"worse""#,
      #""entity":{"model":"m\"1|","n":7},"at":"2023-11-14T22:15:00Z""#,
      #""values":{"latest_1h":"m\"1|","mean_1h":0.15000000000000002,"seen_24h":2}"#,
      #""data":{"from":"2023-11-13T22:10:00Z","until":"2023-11-14T22:15:00Z"},"as_of":"2023-11-14T22:14:50Z""#,
      #""fingerprint":"\#(fingerprint)","position":{"topic":"shop.1.outcomes.by-model-n","partition":0,"offset":7}}"#,
    ]
    #expect(texts.last == expected.joined(separator: ","))
    #expect(texts.first?.contains(#""trigger":"ever","#) == true)
    #expect(texts.first?.contains(#""data":{"from":null,"until":"2023-11-14T22:15:00Z"}"#) == true)
    #expect(
      worse
        == TriggerRecord(
          id: worse.id, app: "shop", version: 1, view: "quality", trigger: "worse",
          at: EventTime(microseconds: 1_700_000_100_000_000)))
  }

  /// The schema says how an id is made.
  @Test func ids() throws {
    let found = try records(try plan())
    let ids = found.map { record in record.value.withUnsafeBytes { TriggerReader().read($0)!.id } }
    let text = "shop\n1\nquality\never\n1700000100000000\n" + #"m"1\||7"#
    #expect(ids[0] == fingerprintText(Hash64.hash(text)))
    #expect(Set(ids).count == 2)
    let others = try records(try plan(version: 2)) + records(try plan(), model: "other")
    let all = ids + others.map { record in record.value.withUnsafeBytes { TriggerReader().read($0)!.id } }
    #expect(Set(all).count == 6)
  }

  @Test(
    arguments: [
      "", "{}", "garbage", #"{"id":"a"}"#,
      #"{"id":null,"app":"a","version":1,"view":"v","trigger":"t","at":"2023-11-14T22:15:00Z"}"#,
      #"{"id":"i","app":"a","version":"1","view":"v","trigger":"t","at":"2023-11-14T22:15:00Z"}"#,
      #"{"id":"i","app":"a","version":1,"view":"v","trigger":"t","at":"today"}"#,
    ])
  func whatIsNoRecord(_ text: String) {
    #expect(Array(text.utf8).withUnsafeBytes { TriggerReader().read($0) } == nil)
  }

  /// The schema of the records knows each of their members, and asks for no other.
  @Test func theSchemaIsTheRecords() throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Topics/schemas/trigger.schema.json")
    struct Schema: Decodable {
      struct Property: Decodable {}
      var required: [String]
      var properties: [String: Property]
    }
    let schema = try JSONDecoder().decode(Schema.self, from: Data(contentsOf: file))
    let record = try JSONSerialization.jsonObject(with: Data(try records(try plan())[0].value))
    let members = try #require(record as? [String: Any]).keys.sorted()
    #expect(schema.required.sorted() == members && schema.properties.keys.sorted() == members)
  }

  /// Who watches for nothing needs no topics.
  @Test func topics() throws {
    func kinds(_ plan: Plan) -> [String] {
      Routing(plan).specs(plan, partitions: ["shop.outcomes": 3])
        .filter { [.triggers, .trainings].contains($0.kind) }.map { "\($0.name) \($0.partitions)" }
    }
    #expect(kinds(try plan()) == ["shop.triggers 1", "shop.trainings 1"])
    var definitions = try plan().definitions
    definitions.views[0].triggers = []
    #expect(kinds(try Plan(definitions)) == [])
    definitions.sources[0].topic = "shop.triggers"
    let mistakes = #expect(throws: DefinitionMistakes.self) { try Plan(definitions) }
    #expect(mistakes?.description.contains("the topic of triggers, which the service writes") == true)
  }
}
