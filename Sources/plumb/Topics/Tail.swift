import ArgumentParser
import EventLog
import FeatureCore
import Glibc
import Processor
import ServiceConfiguration
import Synchronization

/// What the tail of any output topic is asked for.
struct TailOptions: ParsableArguments {
  @Option(name: [.customShort("d"), .long], help: "The definitions file.")
  var definitions: String
  @OptionGroup var log: LogOptions
  @Option(help: "Only rows of this view.")
  var view: String?
  @Option(help: "Where to begin: beginning, end, or a time in RFC 3339 (when a record was written).")
  var from = TailStart(start: .beginning)
  @Flag(help: "Wait for more records at the end of the topic.")
  var follow = false
  @Option(help: "Stop after this many rows.")
  var limit: Int?

  func validate() throws {
    if from.start == .end && !follow {
      throw ValidationError("Behind the end there is nothing yet: add --follow, or begin elsewhere.")
    }
    if let limit, limit < 0 { throw ValidationError("The limit is \(limit); use 0 or more.") }
  }

  /// The view that is asked for, if one is.
  func chosenView(_ plan: Plan) throws(ValidationError) -> ViewPlan? {
    guard let view else { return nil }
    if let found = plan.view(view) { return found }
    let meant = Suggestion.didYouMean(view, among: plan.views.map(\.name)).map { " (\($0))" } ?? ""
    throw ValidationError("There is no view '\(view)'\(meant).")
  }

  /// Prints a row for each record that `row` makes one of, as a line of JSON. Ends when nobody reads any more.
  func print(
    _ topic: String, _ plan: Plan, row: (LogRecord, inout JSONLine) -> Bool
  ) throws {
    Interruption.watch()
    var output = try LineOutput(path: "-")
    let reader = try TopicReader(
      log.settings().kafkaOptions(plan, transactionalID: "\(plan.name).tail"), report: reportKafka)
    try reader.open(try reader.ranges(of: [topic], from: from.start, isEndless: follow))
    var left = limit ?? .max
    while left > 0, !Interruption.isRequested, !output.isAbandoned,
      let poll = try reader.poll(recordsMax: 4_096, timeoutMilliseconds: 100)
    {
      // Times need not ascend with the offsets.
      for record in poll.records where left > 0 && from.takes(record) {
        var line = JSONLine()
        let place = poll.partitions[record.partition]
        line.add("record", "\(place)@\(record.offset)")
        line.add("written", Self.time(record))
        guard row(record, &line) else { continue }
        line.end(into: &output.buffer)
        left -= 1
      }
      guard try output.flush(unless: { _ in false }) else { return }
    }
  }

  /// When a record was written: null if nobody knows, or if it is no time that microseconds can tell.
  private static func time(_ record: LogRecord) -> FeatureValue {
    guard let milliseconds = record.timestampMilliseconds else { return .null }
    let (microseconds, isTooLarge) = milliseconds.multipliedReportingOverflow(by: 1_000)
    return isTooLarge ? .null : .timestamp(EventTime(microseconds: microseconds))
  }
}

/// Where a tail begins, as it is written.
struct TailStart: ExpressibleByArgument, CustomStringConvertible {
  var start: ReadStart
  var description: String

  init(start: ReadStart) {
    self.start = start
    description = start == .end ? "end" : "beginning"
  }

  /// Whether a record was not written before.
  func takes(_ record: LogRecord) -> Bool {
    guard case .time(let start) = start, let time = record.timestampMilliseconds else { return true }
    return time >= start
  }

  init?(argument: String) {
    description = argument
    switch argument {
    case "beginning": start = .beginning
    case "end": start = .end
    default:
      var text = argument
      guard let time = text.withUTF8({ RFC3339.parse(UnsafeRawBufferPointer($0)) }) else { return nil }
      // Rounded up: a record of the millisecond before is earlier.
      start = .time(milliseconds: -((-time.microseconds).quotientRoundedDown(by: 1_000)))
    }
  }
}

extension Int64 {
  fileprivate func quotientRoundedDown(by divisor: Int64) -> Int64 {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? quotient - 1 : quotient
  }
}

/// SIGINT and SIGTERM as a question: a command that ends by itself ends with a whole line.
enum Interruption {
  private static let flag = Atomic(false)

  static var isRequested: Bool { flag.load(ordering: .relaxed) }

  static func watch() {
    // Made before the first signal: a handler must not make it.
    _ = isRequested
    // Whoever has started the process may have blocked them, and a mask is inherited.
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGINT, SIGTERM] {
      signal(number) { _ in Interruption.flag.store(true, ordering: .relaxed) }
      sigaddset(&signals, number)
    }
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }
}
