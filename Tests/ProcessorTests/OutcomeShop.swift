import FeatureCore

@testable import Processor

/// A shop whose join tells whether a user has clicked after something was shown, within 10 s.
enum OutcomeShop {
  static let second: Int64 = 1_000_000

  /// `fields` are declared of both sides' events, besides the user.
  static func plan(fields: [Source.Field] = [], followMax: Int = Limits.joinFollowMax) throws -> Plan {
    func source(_ name: String) -> Source {
      Source(
        name, topic: name, key: "user", timestamp: .init(field: "ts", unit: .microseconds),
        fields: [.init("user", .string)] + fields)
    }
    var definitions = Definitions(
      name: "shop", sources: [source("shown"), source("clicks")],
      views: [
        View(
          "v", source: "outcomes", entity: ["user"],
          features: [Feature("n", .aggregate(Aggregate(.count, windows: [.lifetime])))])
      ])
    definitions.joins = [
      Join(
        "outcomes", left: .init("shown"), right: .init("clicks"), on: ["user"],
        kind: .outcome(within: 10 * second, wait: 2 * second, lateness: 3 * second))
    ]
    return try Plan(definitions, joinFollowMax: followMax)
  }

  /// The values of the records that tell a join that both streams have come to a time, in microseconds.
  static func marks(at time: Int64) -> [[UInt8]] {
    JoinPlan.Side.allCases.map { side in
      var writer = ProtobufWriter()
      writer.mark(JoinMark(side: side, partition: 0, count: 1, time: time, isIdle: false, offset: 1))
      return writer.bytes
    }
  }
}
