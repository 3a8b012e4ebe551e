import FeatureCore
import Foundation
import OnlineStore
import Processor
import Testing

extension Integration {
  /// When `plumb run` refuses to start.
  @Suite struct StartTests {}
}

extension Integration.StartTests {
  @Test func statesThatDoNotFitAreNotCarriedOn() async throws {
    try await Integration.expectNone {
      let expected = [
        "'clicks' had 2 partitions when its states were made, and has 3 now",
        "the store has states of other definitions", "counts its events twice after a crash",
      ]
      return zip(expected, try Self.refusals()).filter { !$1.contains($0) }.map { "not '\($0)' but '\($1)'" }
    }
  }

  /// What the service says when it doesn't start.
  private static func refusals() throws -> [String] {
    let site = try Site()
    let redis = try RedisOptions(url: site.redis.url)
    let (reader, store) = (OnlineReader(redis, keys: site.keys), RedisStateStore(redis, keys: site.keys))
    func refusal(_ more: [String] = []) throws -> String {
      let process = try site.command(["run", "--redis", site.redis.url] + more)
      guard try process.status(within: 30) == 1 else { throw Failure("it started: \(process.text)") }
      return process.text
    }
    let counts = Dictionary(uniqueKeysWithValues: site.routing.inputs.map { ($0.name, Site.partitions) })
    var other = StoreMetadata(fingerprint: site.plan.fingerprint, partitions: counts)
    other.partitions["clicks"] = 2
    try store.publish(other)
    let grown = try refusal()
    // What is stored stays: a second attempt is refused as well.
    guard try refusal() == grown, try reader.refresh() == other else { throw Failure("it was overwritten") }
    try store.publish(StoreMetadata(fingerprint: 1, partitions: counts))
    return [grown, try refusal(), try refusal(["--delivery", "at_least_once"])]
  }
}
