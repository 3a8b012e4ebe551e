import ArgumentParser
import DefinitionFiles
import EventLog
import FeatureCore
import Glibc
public import OnlineStore
import Processor
import Replay
import ServiceConfiguration
public import Verification

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Prove that Redis and the snapshots are what a fold of the log makes them.",
    discussion: """
      Folds the source topics again, and compares every snapshot and every state now in Redis, byte for byte. It \
      changes nothing, and may run beside the service: Redis' positions are the cut. Exit status 1 if anything differs; the \
      first differences are printed with view, entity, position, feature, both values and the likely cause.

      With --served the answers that plumb serve has logged are computed again instead: each value, bit for bit.

      Snapshots are sorted in the folder for temporary files (TMPDIR), which needs as much room as their topic.

      Examples:
        plumb verify -d shop.yaml --brokers 127.0.0.1:9092 --redis redis://127.0.0.1:6379
        plumb verify -d shop.yaml --sample 1/100
        plumb verify -d shop.yaml --json --quiet
        plumb verify -d shop.yaml --archive /archive
        plumb verify -d shop.yaml --served --sample 1/100
      """)

  @Option(
    name: [.customShort("d"), .long], help: "The definitions file.",
    completion: .file(extensions: ["yaml", "yml"]))
  var definitions: String
  @OptionGroup var service: ServiceOptions
  @Option(help: "Compare only one entity of N: 1/N. Everything is folded all the same.")
  var sample = SampleShare(divisor: 1)
  @Option(help: "First wait so long, such as 30s, until all that is in the topics has been folded.")
  var wait: TimeSpan?
  @Flag(
    help: "Compare the answers in the topic of answers instead, by folding up to where their states were.")
  var served = false
  @Option(
    help: ArgumentHelp(
      "Read what plumb archive has kept here, and the topics from there on.", valueName: "dir"))
  var archive: String?

  @Flag(help: "Print one JSON object with the counts and the first findings.")
  var json = false
  @Flag(help: "Say nothing of the progress.")
  var quiet = false

  func validate() throws { _ = try share() }

  func run() throws {
    try reportingService {
      let plan = try DefinitionFile.compile(path: definitions)
      let settings = try service.settings()
      let store = StoreInspector(
        try settings.redisOptions(), keys: StoreKeys(name: plan.name, version: plan.version))
      let topics = TopicLog(
        settings.kafkaOptions(plan, transactionalID: "\(plan.name).verify"), report: reportKafka)
      let log = ArchivedLog(try archive.map(TopicArchive.init), topics: topics)
      if let wait {
        try awaitService(plan, topics, store, until: .now + .microseconds(wait.microseconds))
      }
      let failures =
        try served
        ? verifyServed(plan, log)
        : verify(
          plan, log, store, expectsEverySnapshot: settings.delivery == .exactlyOnce)
      if failures > 0 { throw ExitCode.failure }
    }
  }

  private func verify(
    _ plan: Plan, _ log: ArchivedLog, _ store: StoreInspector, expectsEverySnapshot: Bool
  ) throws -> Int {
    let verifier = Verifier(
      plan, log: log, store: store, share: try share(), expectsEverySnapshot: expectsEverySnapshot,
      progress: progress)
    let report = try stopping { try verifier.run() }
    if json {
      printJSON(report.findings, of: report.failures) { line in
        line.add("records", report.records)
        line.add("snapshots", report.snapshots)
        line.add("snapshots_ahead", report.snapshotsAhead)
        line.add("states", report.states)
      }
    } else {
      Self.tell(report.findings, of: report.failures)
      print(
        "\(report.records) records folded, \(report.snapshots) snapshots and \(report.states) states compared, "
          + "\(report.snapshotsAhead) snapshots not yet in Redis: \(Self.verdict(report.failures))")
    }
    return report.failures
  }

  private func verifyServed(_ plan: Plan, _ log: ArchivedLog) throws -> Int {
    let verifier = ServedVerifier(plan, log: log, share: try share(), progress: progress)
    let report = try stopping { try verifier.run() }
    let others = report.otherVersions.sorted { $0.key < $1.key }
    if json {
      printJSON(report.findings, of: report.failures) { line in
        line.add("records", report.records)
        line.add("answers", report.answers)
        line.add("derived_rows", report.derived)
        line.add("of_other_versions", others.reduce(0) { $0 + $1.value })
      }
    } else {
      Self.tell(report.findings, of: report.failures)
      let leftOut = others.map { ", \($0.value) of version \($0.key) left out" }.joined()
      print(
        "\(report.records) records folded, \(counted(report.answers, "answer")) of views and "
          + "\(counted(report.derived, "row")) of derived columns compared\(leftOut): "
          + Self.verdict(report.failures))
    }
    return report.failures
  }

  private func progress(_ text: String) {
    if !quiet && isatty(STDERR_FILENO) == 1 { StandardError.write("\r\u{1B}[K\(text)") }
  }

  private func stopping<Report>(_ body: () throws -> Report) throws -> Report {
    defer { progress("") }
    do {
      return try body()
    } catch let error as VerificationError {
      throw ProcessorError(remedy: .stop, description: "\(error)")
    } catch let error as SpillError {
      throw ProcessorError(remedy: .stop, description: "\(error)")
    }
  }

  private static func tell(_ findings: [Finding], of failures: Int) {
    for finding in findings { print(finding) }
    if failures > findings.count { print("and \(failures - findings.count) more") }
  }

  private static func verdict(_ failures: Int) -> String {
    failures == 0 ? "no difference" : counted(failures, "difference")
  }

  private func printJSON(_ findings: [Finding], of failures: Int, counts: (inout JSONLine) -> Void) {
    JSONLine.print { line in
      counts(&line)
      line.add("differences", failures)
      line.add("findings", each: findings) { line, finding in
        line.add("subject", finding.subject.rawValue)
        line.add("view", finding.view)
        line.add("entity_key", bytes: finding.entity)
        line.add("topic", finding.partition.topic)
        line.add("partition", Int(finding.partition.partition))
        line.add("offset", .int64(finding.offset))
        line.add("difference", finding.difference)
        line.add("cause", finding.cause)
      }
    }
  }

  /// Waits until the store is where the inputs end.
  private func awaitService(
    _ plan: Plan, _ log: TopicLog, _ store: StoreInspector, until deadline: ContinuousClock.Instant
  ) throws {
    // Sources come before what they forward to: that is there as soon as the store has reached the sources' ends.
    for input in Routing(plan).inputs {
      for (partition, end) in try log.ends(of: input.topic) {
        let task = StoreKeys.task(source: input.name, partition: partition.partition)
        while try !log.isFolded(partition, from: store.position(task) ?? 0, to: end) {
          guard ContinuousClock.now < deadline else {
            throw ProcessorError(
              remedy: .stop,
              description: "the service has not folded all of \(partition): let it run, or --wait longer")
          }
          usleep(100_000)
        }
      }
    }
  }

  private func share() throws(ValidationError) -> EntityShare {
    EntityShare(oneOf: sample.divisor)
  }
}

extension StoreInspector: VerifiedStore {}

/// A length of time as an argument: `90s`, `5m`.
struct TimeSpan: ExpressibleByArgument {
  var microseconds: Int64

  init?(argument: String) {
    guard let microseconds = FeatureCore.Duration.parse(argument) else { return nil }
    self.microseconds = microseconds
  }
}
