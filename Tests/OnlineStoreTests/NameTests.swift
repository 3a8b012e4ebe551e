import FeatureCore
import OnlineStore
import Processor
import Testing

/// Names of topics, groups, tasks and keys: one name is one thing, whatever definitions are accepted.
@Suite struct NameTests {
  /// Pieces that names are tempted to be glued of.
  private static let apps = ["shop", "shop-2", "shop-1", "a", "a-b", "by-a", "_"]
  private static let sources = ["s", "by", "by_a", "a", "a_b", "_1"]
  private static let fields = [
    "a", "b", "a-b", "a-", "-b", "-", "--", ".", "..", "a.", ".b", "a.b", "a_b", "2d", "-.2d", "a-.2db",
    ".2d", "a|b",
    "a:b", "{a}", "}", "a b", "é", "日", "\n", "\\", "by-a", "1", "0", "A", "*", "s.by-a", "\u{0}", "e\u{301}",
  ]
  private static let entityTexts = ["", "a", "a|b", "a\\", "|", "\\|", "b:", ":s:", "}:p", "x}:s:v:a"]

  /// What a name stands for, and the name.
  private typealias Named = (name: [UInt8], meaning: String)

  private static func definitions(_ random: inout some RandomNumberGenerator) -> Definitions {
    let names = sources.shuffled(using: &random).prefix(Int.random(in: 1...3, using: &random))
    let declared = names.map { name in
      let own = fields.shuffled(using: &random).prefix(Int.random(in: 3...8, using: &random))
      return Source(
        name, topic: "in-\(name)", key: Bool.random(using: &random) ? own[0] : nil,
        timestamp: .init(field: "ts", unit: .seconds),
        fields: own.map { .init($0, .string, path: $0.contains(".") ? "\"\($0)\"" : nil) })
    }
    let views = (0..<Int.random(in: 1...6, using: &random)).map { index in
      let source = declared.randomElement(using: &random)!
      let entity = source.fields.map(\.name).shuffled(using: &random)
        .prefix(Int.random(in: 1...3, using: &random))
      return View(
        "v\(index)", source: source.name, entity: Array(entity),
        features: [Feature("n", .aggregate(.init(.count, windows: [.lifetime])))])
    }
    return Definitions(
      name: apps.randomElement(using: &random)!, version: Int.random(in: 1...12, using: &random),
      sources: declared, views: views)
  }

  /// Every name that a plan gives rise to.
  private static func names(_ plan: Plan) throws -> (topics: [Named], keys: [Named]) {
    let routing = Routing(plan)
    var topics: [Named] = [
      (Array(routing.snapshotTopic.utf8), "snapshots of \(plan.name)"),
      (Array(routing.deadLetterTopic.utf8), "letters of \(plan.name)"),
    ]
    var keys: [Named] = [(StoreKeys.live(name: plan.name), "live version of \(plan.name)")]
    let store = StoreKeys(name: plan.name, version: plan.version)
    let owner = "\(plan.name) version \(plan.version)"
    keys.append((store.metadata, "metadata of \(owner)"))
    for input in routing.inputs {
      let source = plan.sources[input.source].source.name
      let entity = input.isRepartitioned ? plan.views[input.views[0]].entity.map(\.name) : []
      let meaning = "\(owner), source \(source), entity \(entity)"
      if input.isRepartitioned { topics.append((Array(input.topic.utf8), meaning)) }
      for partition: Int32 in [0, 1, 10] {
        let task = StoreKeys.task(source: input.name, partition: partition)
        keys.append((store.position(task), "position of \(partition) of \(meaning)"))
        keys.append((store.epoch(task), "epoch of \(partition) of \(meaning)"))
        for view in input.views.map({ plan.views[$0] }) {
          for text in entityTexts {
            let values = view.entity.indices.map { index in
              FeatureValue.string(Text(index == 0 ? text : entityTexts[(index + text.utf8.count) % 10]))
            }
            let key = try #require(EntityKey.make(values, view.entity))
            keys.append(
              (
                store.statePrefix(task) + StateKey.make(view: view.name, key),
                "\(partition) of \(meaning), view \(view.name), \(values)"
              ))
          }
        }
      }
    }
    return (topics, keys)
  }

  @Test func oneNameIsOneThing() throws {
    let seed = UInt64.random(in: .min ... .max)
    var random = Seeded(state: seed)
    var (topics, keys): ([[UInt8]: String], [[UInt8]: String]) = ([:], [:])
    var accepted = 0
    for _ in 0..<1_500 {
      guard let plan = try? Plan(Self.definitions(&random)) else { continue }
      accepted += 1
      let names = try Self.names(plan)
      for (name, meaning) in names.topics {
        let other = topics.updateValue(meaning, forKey: name) ?? meaning
        #expect(other == meaning, "seed \(seed): topic \(String(decoding: name, as: UTF8.self))")
        let isLegal = name.count <= 249 && name.allSatisfy(Self.isTopicByte)
        #expect(isLegal, "seed \(seed): topic \(String(decoding: name, as: UTF8.self))")
      }
      for (name, meaning) in names.keys {
        let other = keys.updateValue(meaning, forKey: name) ?? meaning
        #expect(other == meaning, "seed \(seed): key \(String(decoding: name, as: UTF8.self))")
      }
    }
    #expect(accepted > 1_000 && topics.count > 1_000 && keys.count > 10_000)
  }

  /// Whoever judges the loop derives its routing a second time.
  @Test func plainRoutingIsTheSame() throws {
    let seed = UInt64.random(in: .min ... .max)
    var random = Seeded(state: seed)
    for _ in 0..<1_000 {
      guard let plan = try? Plan(Self.definitions(&random)) else { continue }
      let (one, other) = (Routing(plan), Routing(plainly: plan))
      #expect("\(one)" == "\(other)", "seed \(seed)")
    }
  }

  /// Names that were unambiguous are what they always were: deployments have topics and keys of these names.
  @Test func ordinaryNamesStayAsTheyAre() throws {
    let names = TopicNames(app: "shop-2", version: 12)
    #expect(names.repartition(source: "clicks", entity: ["item_id"]) == "shop-2.12.clicks.by-item_id")
    #expect(names.repartition(source: "c", entity: ["user.id", "Item9"]) == "shop-2.12.c.by-user.id-Item9")
    #expect(names.snapshots == "shop-2.snapshots" && names.deadLetters == "shop-2.dead-letters")
    #expect(names.repartition(source: "c", entity: ["a-b"]) == "shop-2.12.c.by-a-.2db")
  }

  private static func isTopicByte(_ byte: UInt8) -> Bool {
    let letter = Character(UnicodeScalar(byte))
    return letter.isASCII && (letter.isLetter || letter.isNumber || "._-".contains(letter))
  }

  private struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = state
      mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return mixed ^ (mixed >> 31)
    }
  }
}
