import ArgumentParser
import DefinitionFiles
import EventLog
import FeatureCore
import Processor
import Replay
import ServiceConfiguration

struct ArchiveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "archive",
    abstract: "Keep the events of topics in compressed files, for longer than the topics do.",
    discussion: """
      Reads the committed records of a source's topic, and of its repartition topics, into segments of NDJSON, compressed \
      with zstd: DIR/TOPIC/PARTITION/OFFSET.ndjson.zst, with an index beside them. Keys and values come back byte for byte. \
      Started again, after a kill too, it continues where the archive ends. It joins no group.

      With --archive DIR, plumb verify, plumb replay --into redis and plumb run read the archive where the topic has \
      forgotten its beginning; plumb replay --events DIR/TOPIC reads a topic's events.

      Examples:
        plumb archive -d shop.yaml --source clicks --out /archive
        plumb archive -d shop.yaml --out /archive --until end
      """)

  @Option(name: [.customShort("d"), .long], help: "The definitions file.")
  var definitions: String
  @OptionGroup var log: LogOptions
  @Option(help: "The source to archive. Without it, all of them.")
  var source: String?
  @Option(help: ArgumentHelp("The archive's folder.", valueName: "dir"))
  var out: String
  @Option(
    help:
      "Stop at the end that the topics have now: 'end'. Without it, follow the topics until SIGINT or SIGTERM."
  )
  var until: TopicEnd?
  @Option(help: "A segment ends this long after its first record was read.")
  var segmentTime = DurationOption(text: "5m")
  @Option(help: "A segment ends after this many bytes, uncompressed.")
  var segmentBytes = 64 << 20

  func validate() throws {
    if segmentBytes < 1 || segmentTime.microseconds < 1 {
      throw ValidationError("A segment without room: use 1 or more for --segment-bytes and --segment-time.")
    }
  }

  func run() throws {
    try reportingService {
      let plan = try DefinitionFile.compile(path: definitions)
      let chosen = try source.map { try Selection(plan, source: $0, views: []).source.source.name }
      let topics = Routing(plan).inputs.filter { input in
        chosen.map { plan.sources[input.source].source.name == $0 } ?? true
      }.map(\.topic)
      Interruption.watch()
      var options = try log.settings().kafkaOptions(plan, transactionalID: "\(plan.name).archive")
      // All of them: what is declared may change later.
      options.readsHeaders = true
      var archiver = try TopicArchiver(
        options, topics: topics, out: out,
        limits: ArchiveLimits(bytes: segmentBytes, age: .microseconds(segmentTime.microseconds)),
        isEndless: until == nil, report: reportKafka)
      try archiver.run { Interruption.isRequested }
      StandardError.print(
        "\(counted(archiver.records, "record")) archived in \(counted(archiver.segments, "segment"))")
    }
  }
}
