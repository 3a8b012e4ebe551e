import ArgumentParser
import Clickstream
import EventLog
import Foundation
import OfflineStore
import Processor
import ServiceConfiguration

struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract:
      "Write a shop's clickstream, as NDJSON or to a topic: seeded, with late records, and broken ones if they are wanted.",
    discussion: """
      The same options give the same events on every machine, except with --live. examples/shop.yaml has definitions \
      for them. In a topic an event is a record, keyed by user_id and partitioned by murmur2.

      With --shown, people see what somebody else has chosen, and click what they like: each shown item becomes an impression, and \
      some a click, by tastes that only their clicks tell, and that --shift changes. Whether an item is clicked depends on its user, \
      time and the seed alone. --catalogue writes what the shop sells, as rows for a table.

      With --database no events are written, but the shop's tables users and items into a database of SQLite: all rows \
      the first time, and changes of some of them each time after.

      Examples:
        plumb generate --events 1000000 --out events.ndjson
        plumb generate --events 20000 --rate 2000 | plumb replay --events - \\
          -d examples/shop.yaml --source clicks --view item_popularity \\
          --features-at end --out -
        plumb generate --topic clicks --brokers 127.0.0.1:9092 --live --rate 2000
        plumb generate --catalogue --items 300 --topic items
        echo '{"user_id": "u1", "item_id": "i7", "ts": 1767225600000}' \\
          | plumb generate --shown - --shift 1767312000000
        plumb generate --database shop.db
      """)

  @Option(parsing: .unconditional, help: "How many lines to write; without it, no end.")
  var events: Int?
  @Option(help: "The file to write; - is the standard output. (default: -)")
  var out: String?
  @Option(help: "The topic to write to, in place of a file.")
  var topic: String?
  @Option(help: "The SQLite database to make, or to change, in place of writing events.")
  var database: String?
  @OptionGroup var log: LogOptions
  @Option(parsing: .unconditional, help: "Events a second; without it, as fast as possible.")
  var rate: Double?
  @Flag(help: "Events happen as they are written: their times are the clock's, their density is the rate.")
  var live = false
  @Option(help: "Seed of everything that looks random.")
  var seed: UInt64 = 1
  @Option(help: "Users.")
  var users = 100_000
  @Option(help: "Items.")
  var items = 20_000
  @Option(help: "Share of records that come late, from 0 to 1.")
  var late = 0.01
  @Option(help: "Share of records that come twice, from 0 to 1.")
  var duplicates = 0.002
  @Option(help: "Share of records that are malformed (no JSON, no UTF-8, wrong types), from 0 to 1.")
  var malformed = 0.0
  @Option(help: "Categories that the items are of.")
  var categories = 50
  @Option(
    help: ArgumentHelp(
      "What is shown, as NDJSON with user_id, item_id and ts in milliseconds; - is the standard input.",
      valueName: "file"))
  var shown: String?
  @Option(
    help:
      "With --shown: from when on people like what is dear instead of what is cheap, in milliseconds since the epoch."
  )
  var shift: Int64?
  @Flag(help: "Write the items, a row each, in place of events.")
  var catalogue = false
  @Option(help: "Events a second of event time, as a daily mean. (default: 100)")
  var density: Double?
  @Option(help: "First event time, in milliseconds since the epoch. (default: 1767225600000, 2026-01-01)")
  var start: Int64?

  private var options: ClickstreamOptions {
    var options = ClickstreamOptions()
    options.seed = seed
    options.users = users
    options.items = items
    options.categories = categories
    options.shiftMilliseconds = shift
    options.lateShare = late
    options.duplicateShare = duplicates
    options.malformedShare = malformed
    if let density = density ?? (live ? rate : nil) { options.eventsPerSecond = density }
    if let start = start ?? (live ? Self.clockMilliseconds : nil) { options.startMilliseconds = start }
    return options
  }

  private static var clockMilliseconds: Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }

  func validate() throws {
    try FeatureTableFormat.checkLines(out, catalogue ? "items are" : "events are")
    if topic != nil && out != nil { throw ValidationError("Give --out or --topic, not both.") }
    if database != nil && (topic != nil || out != nil || events != nil || rate != nil || live) {
      throw ValidationError(
        "--database writes tables and no events: leave out --topic, --out, --events, --rate and --live.")
    }
    if live && (rate == nil || topic == nil || start != nil || density != nil) {
      throw ValidationError("--live needs --topic and --rate, and leaves no choice of --start and --density.")
    }
    if catalogue && shown != nil { throw ValidationError("Give --catalogue or --shown, not both.") }
    if (catalogue || shown != nil) && (live || density != nil) {
      throw ValidationError("--live and --density are about events that nobody shows: leave them out.")
    }
    if shift != nil && shown == nil {
      throw ValidationError("--shift changes what people like of what is shown: add --shown.")
    }
    if let mistake = options.mistake { throw ValidationError(mistake) }
    if let rate, !(Pace.rates ~= rate) {
      throw ValidationError("The rate is \(rate); use 0.001 to 1000000000 lines a second.")
    }
    if let events, events < 0 { throw ValidationError("The count of events is \(events); use 0 or more.") }
  }

  func run() throws {
    try reportingService {
      if let database {
        StandardError.print(try ShopDatabase.advance(database, ShopTables(options)))
        return
      }
      if let topic { try produce(to: topic) } else { try write(to: out ?? "-") }
    }
  }

  private func lines() throws(TableError) -> GeneratedLines {
    if let shown { return try .reactions(to: shown, options) }
    if catalogue { return .items(options) }
    return .events(options, clock: live ? { Self.clockMilliseconds } : nil)
  }

  private func write(to path: String) throws {
    if path.isEmpty { throw ValidationError("The name of a file is empty.") }
    let lines = try lines()
    var output = try LineOutput(path: path)
    let pace = Pace(linesPerSecond: rate)
    var written = 0
    while written < events ?? .max {
      // A reader that has gone, like `head`, is an ordinary end.
      guard try output.flush(unless: { $0 < LineOutput.bufferBytes && !pace.isDue(written) }) else { return }
      pace.wait(written, unless: { false })
      guard try lines.next(&output.buffer) != nil else { break }
      written += 1
    }
    _ = try output.flush(unless: { _ in false })
  }

  private func produce(to topic: String) throws {
    Interruption.watch()
    let settings = try log.settings()
    let kafka = KafkaOptions(
      brokers: settings.brokers, group: "", transactionalID: "", properties: settings.kafka)
    let writer = try TopicWriter(kafka, topic: topic, report: reportKafka)
    let lines = try lines()
    let pace = Pace(linesPerSecond: rate)
    var line: [UInt8] = []
    var written = 0
    let patience = Patience()
    while written < events ?? .max {
      pace.wait(written) { Interruption.isRequested }
      if Interruption.isRequested { break }
      line.removeAll(keepingCapacity: true)
      guard let key = try lines.next(&line) else { break }
      try patience.insist { () throws(LogError) in
        try line.span.bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(LogError) -> Void in
          // A record has no use for the newline.
          try writer.send(
            key: key.isEmpty ? nil : UnsafeRawBufferPointer(rebasing: bytes[key]),
            value: UnsafeRawBufferPointer(rebasing: bytes.dropLast()))
        }
      }
      written += 1
    }
    try patience.insist { () throws(LogError) in try writer.flush() }
    StandardError.print("\(counted(written, "event")) written to the topic '\(topic)'")
  }
}

/// Waits for brokers that are away, and says so once.
private struct Patience {
  /// Tries until it succeeds, fails for good, or is interrupted.
  func insist(_ attempt: () throws(LogError) -> Void) throws(LogError) {
    var since: ContinuousClock.Instant?
    while true {
      do throws(LogError) {
        try attempt()
        if let since {
          let seconds = Int(since.duration(to: .now) / .seconds(1))
          StandardError.print("the brokers take events again, after \(seconds) s")
        }
        return
      } catch {
        guard error.remedy == .retry, !Interruption.isRequested else { throw error }
        if since == nil { StandardError.print("waiting for the brokers: \(error.message)") }
        since = since ?? .now
      }
    }
  }
}
