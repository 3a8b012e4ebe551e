import ArgumentParser
import DefinitionFiles
import ServiceConfiguration

/// What `plumb replay --into redis` is told.
struct StoreReplayFlags: ParsableArguments, SettingFlags {
  /// Where states can be folded into.
  enum Store: String, ExpressibleByArgument, CaseIterable { case redis }
  /// Where folding begins.
  enum Start: String, ExpressibleByArgument, CaseIterable { case store, beginning }

  @Option(help: "Fold what the stopped service has committed into its store once more: redis.")
  var into: Store?
  @Option(
    help:
      "With --into: store goes on from the positions in Redis, beginning removes the states first. (default: store)"
  )
  var from: Start?
  @Flag(help: "With --into: take the last snapshot of every entity instead of folding events.")
  var fromSnapshots = false
  @Option(
    help: ArgumentHelp(
      "With --into: read what plumb archive has kept here, and the topics from there on.", valueName: "dir"))
  var archive: String?
  @Option(help: "With --into: threads that fold, each some of the partitions. (default: 1)")
  var workers: String?
  @Option(help: "With --into: states of one view of one partition in memory. (default: 100000)")
  var cachedStates: String?
  @OptionGroup var service: ServiceOptions

  var config: String? { service.config }
  var flags: [(name: String, text: String)] {
    let own = [("workers", workers), ("cached_states", cachedStates)]
    return service.flags + own.compactMap { name, text in text.map { (name: name, text: $0) } }
  }

  func validate() throws {
    if fromSnapshots && (from != nil || archive != nil) {
      throw ValidationError("--from-snapshots folds no events: leave --from and --archive out.")
    }
  }

  /// Refuses what only goes with `--into`.
  func refuse() throws {
    if from != nil || fromSnapshots || archive != nil || !flags.isEmpty {
      throw ValidationError(
        "--from, --from-snapshots, --archive, --workers and the addresses go with --into redis.")
    }
  }

  func run(_ definitions: String) throws {
    try reportingService {
      let replay = try StoreReplay(DefinitionFile.compile(path: definitions), settings(), archive: archive)
      let summary = try fromSnapshots ? replay.restore() : replay.fold(fromBeginning: from == .beginning)
      StandardError.print(summary)
    }
  }
}
