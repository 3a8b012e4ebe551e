import Foundation
import Processor
import Testing
import TestSupport

extension Journeys {
  /// Rows that clients of the feature server write to a source's topic, with the service that folds them.
  @Suite struct ServePredictionTests {}
}

extension Journeys.ServePredictionTests {
  private static let definitions = """
    name: shop
    version: 1
    sources:
      clicks:
        topic: predictions
        key: user
        timestamp: { field: ts, unit: ms }
        fields: { id: string, user: string, item: string, score: double }
    views:
      users:
        source: clicks
        entity: user
        features:
          n: { aggregate: count, windows: lifetime }
          scores: { aggregate: sum, value: score, windows: lifetime }
      items:
        source: clicks
        entity: item
        features:
          n: { aggregate: count, windows: lifetime }
    services:
      ranking: { features: [users.*] }

    """

  @Test func rowsAreAcknowledgedByTheBrokersAndFolded() async throws {
    try await Integration.expectNone {
      let site = try Site(Self.definitions)
      try site.start(Site.Instance("a"))
      try site.awaitStarts()
      let server = try Server(site, ["--predictions", "clicks", "--request-timeout-ms", "1000"])
      var problems = try server.check("predict")
      // What was acknowledged is in the topic, whichever client asks.
      let reader = try KafkaAuditor(brokers: site.brokers, group: site.group)
      let partitions = (0..<Site.partitions).map { TopicPartition(site.sourceTopic, $0) }
      let written = try reader.read(partitions).joined().count
      let counted = try Self.accepted(server)
      if written != counted || written == 0 { problems.append("\(written) records of \(counted) rows") }
      // It is folded, each at the partition of its key, and nothing is a dead letter.
      _ = try Audit(site, seconds: 60)
      problems += try server.check("predicted")
      let letters = try reader.read([TopicPartition(site.routing.deadLetterTopic, 0)])[0].count
      if letters != 0 { problems.append("\(letters) dead letters") }
      guard try site.terminate("a") == 0 else { return [site.logs] }
      site.broker.kill()
      problems += try server.check("unpredicted")
      try site.broker.start()
      problems += try server.check("predict")
      let all = try KafkaAuditor(brokers: site.brokers, group: site.group).read(partitions).joined().count
      // Those of the outage may have been written, or not.
      if try all < Self.accepted(server) {
        problems.append("\(all) records of \(try Self.accepted(server)) rows")
      }
      return problems + (try server.terminate() == 0 ? [] : ["the server ended badly: \(server.text)"])
    }
  }

  @Test func tokensAndSourcesAreChecked() async throws {
    try await Integration.expectNone {
      let site = try Site(Self.definitions)
      let tokens = site.path("tokens")
      try """
      writer-0123456789 predictions:clicks
      reader-0123456789 read,registry
      anyone-0123456789 predictions

      """.write(toFile: tokens, atomically: true, encoding: .utf8)
      let server = try Server(site, ["--predictions", "clicks", "--tokens", tokens], isPlain: false)
      let problems = try server.check("may_predict")
      let none = try Server(site, isPlain: false)
      let wrong = try site.command(["serve", "--redis", site.redis.url, "--predictions", "click"])
      guard try wrong.status(within: 60) == 1, wrong.text.contains("did you mean 'clicks'?") else {
        return [wrong.text]
      }
      return problems + (try none.check("takes_none"))
    }
  }

  private static func accepted(_ server: Server) throws -> Int {
    try server.metric("plumb_predictions_total{source=\"clicks\",outcome=\"accepted\"}")
  }
}
