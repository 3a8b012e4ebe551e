import ArgumentParser
import EventLog
import FeatureCore
import OnlineStore
import Processor

/// How the service reaches the log.
struct LogOptions: ParsableArguments {
  @Option(help: "Kafka brokers: host:port, separated by commas.")
  var brokers = "127.0.0.1:9092"
  @Option(
    name: [.customShort("X"), .long],
    help:
      "A librdkafka property, name=value; may be repeated. consumer. or producer. in front gives it to one client."
  )
  var kafka: [String] = []

  func validate() throws {
    for property in kafka where !property.contains("=") {
      throw ValidationError("'\(property)' is no property: write name=value.")
    }
  }

  /// The options of one worker's clients. The group is named like the version, so that versions are filled side by side.
  func options(_ plan: Plan, transactionalID: String) -> KafkaOptions {
    let properties = kafka.map { property in
      let parts = property.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (String(parts[0]), String(parts[1]))
    }
    return KafkaOptions(
      brokers: brokers, group: "\(plan.name).\(plan.version)", transactionalID: transactionalID,
      properties: Dictionary(properties, uniquingKeysWith: { $1 }))
  }

  /// What the client library says, from warnings on.
  static func report(_ severity: KafkaSeverity, _ message: String) {
    if severity >= .warning { StandardError.print("kafka: \(message)") }
  }
}

/// How the service reaches the online store.
struct StoreOptions: ParsableArguments {
  @Option(help: "Redis: redis://[user:password@]host[:port][/database] or unix:///path/of/socket.")
  var redis = "redis://127.0.0.1:6379"

  func options() throws(ValidationError) -> RedisOptions {
    do {
      return try RedisOptions(url: redis)
    } catch {
      throw ValidationError("\(error)")
    }
  }
}

/// Runs a body that talks to Kafka or Redis; their errors become a message and exit status 1.
func reportingService(_ body: () throws -> Void) throws {
  do {
    try reporting(body)
  } catch let error as LogError {
    StandardError.print("plumb: \(error)")
    throw ExitCode.failure
  } catch let error as StoreError {
    StandardError.print("plumb: \(error)")
    throw ExitCode.failure
  } catch let error as ProcessorError {
    StandardError.print("plumb: \(error)")
    throw ExitCode.failure
  }
}
