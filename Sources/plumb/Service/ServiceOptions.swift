import ArgumentParser
import EventLog
import FeatureCore
import Foundation
import Logging
import OnlineStore
import Processor
import ServiceConfiguration

/// Flags that override settings of the service's file and of the environment.
protocol SettingFlags {
  /// The settings file.
  var config: String? { get }
  /// The flags that were given, as a setting's name and text.
  var flags: [(name: String, text: String)] { get }
}

extension SettingFlags {
  /// What applies: flags, then the environment, then the file, then the defaults.
  func settings() throws(SettingError) -> ServiceSettings {
    var settings = ServiceSettings()
    let environment = ProcessInfo.processInfo.environment
    try ServiceSettings.refuseSlips(in: environment)
    if let path = config ?? environment["PLUMB_CONFIG"] { try settings.apply(path: path) }
    try settings.apply(environment: environment)
    try settings.apply(flags: flags)
    return settings
  }
}

/// How a command reaches the log.
struct LogOptions: ParsableArguments, SettingFlags {
  @Option(help: "The service's settings file, in YAML.")
  var config: String?
  @OptionGroup var kafka: KafkaFlags

  var flags: [(name: String, text: String)] { kafka.flags }
}

/// How a command reaches the online store.
struct StoreOptions: ParsableArguments, SettingFlags {
  @Option(help: "The service's settings file, in YAML.")
  var config: String?
  @OptionGroup var redis: RedisFlags

  var flags: [(name: String, text: String)] { redis.flags }
}

/// How a command reaches both.
struct ServiceOptions: ParsableArguments, SettingFlags {
  @Option(help: "The service's settings file, in YAML.")
  var config: String?
  @OptionGroup var kafka: KafkaFlags
  @OptionGroup var redis: RedisFlags

  var flags: [(name: String, text: String)] { kafka.flags + redis.flags }
}

struct KafkaFlags: ParsableArguments {
  @Option(help: "Kafka brokers: host:port, separated by commas. (default: 127.0.0.1:9092)")
  var brokers: String?
  @Option(
    name: [.customShort("X"), .customLong("kafka")],
    help:
      """
      A librdkafka property, name=value; may be repeated. consumer. or producer. in front gives it to one client; \
      name.file=PATH reads a secret from a file.
      """
  )
  var properties: [String] = []

  func validate() throws {
    for property in properties where !property.contains("=") {
      throw ValidationError("'\(property)' is no property: write name=value.")
    }
  }

  var flags: [(name: String, text: String)] {
    let own = properties.map { property in
      let parts = property.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (name: "kafka.\(parts[0])", text: String(parts[1]))
    }
    return (brokers.map { [(name: "brokers", text: $0)] } ?? []) + own
  }
}

struct RedisFlags: ParsableArguments {
  @Option(
    help:
      """
      Redis: redis://[user:password@]host[:port][/database], rediss:// (TLS), redis+sentinel://host:port,…/primary or \
      unix:///path/of/socket. (default: redis://127.0.0.1:6379)
      """
  )
  var redis: String?
  @Option(help: "A file that holds the address of Redis: arguments are seen by everyone on the machine.")
  var redisFile: String?

  var flags: [(name: String, text: String)] {
    [("redis", redis), ("redis_file", redisFile)].compactMap { name, text in
      text.map { (name: name, text: $0) }
    }
  }
}

extension ServiceSettings {
  /// The options of one worker's clients. The group is named like the version, so that versions are filled side by side.
  func kafkaOptions(_ plan: Plan, transactionalID: String) -> KafkaOptions {
    var options = KafkaOptions(
      brokers: brokers, group: "\(plan.name).\(plan.version)", transactionalID: transactionalID,
      delivery: KafkaDelivery(delivery), properties: kafka)
    options.readsHeaders = plan.sources.contains { !$0.schema.headerNames.isEmpty }
    return options
  }

  func redisOptions() throws(ValidationError) -> RedisOptions {
    do {
      return try RedisOptions(url: redis)
    } catch {
      throw ValidationError("\(error)")
    }
  }
}

extension TopicSurvey {
  /// `attemptMilliseconds` is how long the brokers are waited for; nil as long as elsewhere.
  init(
    _ plan: Plan, _ settings: ServiceSettings, attemptMilliseconds: Int? = nil,
    report: @escaping @Sendable (KafkaSeverity, String) -> Void = reportKafka
  ) throws {
    var options = settings.kafkaOptions(plan, transactionalID: "\(plan.name).admin")
    if let attemptMilliseconds { options.requestTimeoutMilliseconds = attemptMilliseconds }
    try self.init(plan, options, report: report)
  }
}

extension KafkaDelivery {
  init(_ delivery: ServiceSettings.Delivery) {
    switch delivery {
    case .exactlyOnce: self = .exactlyOnce
    case .atLeastOnce: self = .atLeastOnce
    }
  }
}

/// What a client library of Kafka says to someone at a terminal, from warnings on.
func reportKafka(_ severity: KafkaSeverity, _ message: String) {
  if severity >= .warning { StandardError.print("kafka: \(message)") }
}

extension Logger {
  /// Takes over what the client library of Kafka says.
  func kafka(_ severity: KafkaSeverity, _ message: String) {
    let level: Logger.Level =
      switch severity {
      case .debug: .debug
      case .info: .info
      case .warning: .warning
      case .error: .error
      }
    log(level: level, "kafka: \(message)")
  }
}

/// Runs a body that talks to Kafka or Redis; their errors become a message and exit status 1.
func reportingService(_ body: () async throws -> Void) async throws {
  let result: Result<Void, any Error>
  do { result = .success(try await body()) } catch { result = .failure(error) }
  try reportingService { () throws -> Void in try result.get() }
}

func reportingService(_ body: () throws -> Void) throws {
  do {
    try reporting(body)
  } catch let error as SettingError {
    StandardError.print("plumb: \(error)")
    throw ExitCode.validationFailure
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
