import ArgumentParser
import Clickstream
import Glibc

struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Write a shop's clickstream as NDJSON: deterministic, seeded, with late and broken records.",
    discussion: """
      The same options give the same bytes on every machine. examples/shop.yaml has definitions for these events.

      Examples:
        plumb generate --events 1000000 --out events.ndjson
        plumb generate --events 20000 --rate 2000 | plumb replay --events - \\
          -d examples/shop.yaml --view item_popularity --features-at end --out -
      """)

  @Option(parsing: .unconditional, help: "How many lines to write; without it, no end.")
  var events: Int?
  @Option(help: "The file to write; - is the standard output.")
  var out = "-"
  @Option(parsing: .unconditional, help: "Lines a second; without it, as fast as possible.")
  var rate: Double?
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
  @Option(help: "Share of records that are malformed, from 0 to 1.")
  var malformed = 0.001
  @Option(help: "Events a second of event time, as a daily mean.")
  var density = 100.0
  @Option(help: "First event time, in milliseconds since the epoch.")
  var start: Int64 = 1_767_225_600_000

  private var options: ClickstreamOptions {
    var options = ClickstreamOptions()
    options.seed = seed
    options.users = users
    options.items = items
    options.lateShare = late
    options.duplicateShare = duplicates
    options.malformedShare = malformed
    options.eventsPerSecond = density
    options.startMilliseconds = start
    return options
  }

  func validate() throws {
    if let mistake = options.mistake { throw ValidationError(mistake) }
    if let rate, !(Pace.rates ~= rate) {
      throw ValidationError("The rate is \(rate); use 0.001 to 1000000000 lines a second.")
    }
    if let events, events < 0 { throw ValidationError("The count of events is \(events); use 0 or more.") }
  }

  func run() throws {
    try reporting {
      if out.isEmpty { throw ValidationError("The name of a file is empty.") }
      var output = try LineOutput(path: out)
      var stream = Clickstream(options)
      var pace = Pace(linesPerSecond: rate)
      var written = 0
      while written < events ?? .max {
        // A reader that has gone, like `head`, is an ordinary end.
        guard try output.flush(unless: { $0 < LineOutput.bufferBytes && !pace.isDue(written) }) else {
          return
        }
        pace.wait(written)
        _ = stream.writeNext(into: &output.buffer)
        written += 1
      }
      _ = try output.flush(unless: { _ in false })
    }
  }
}
