import ArgumentParser
import FeatureCore
import Foundation
import Replay
import ServiceConfiguration

/// What `plumb replay --into` is told.
struct TopicReplayFlags: ParsableArguments, SettingFlags {
  /// What topics can be folded into.
  enum Sink: String, ExpressibleByArgument, CaseIterable { case redis, features, snapshots }

  @Option(
    help: ArgumentHelp(
      """
      Fold the topics. redis: into the states of the stopped service. features, snapshots: into the file --out, with a row \
      for each entity of a view, or for each of its events.
      """))
  var into: Sink?
  @Option(
    help: ArgumentHelp(
      """
      With --into: begin at beginning, offsets (the service's), TOPIC-PARTITION=OFFSET,..., or a time in RFC 3339 (when \
      records were written). Into redis: at store (the positions in Redis) or beginning (removes the states first). \
      (default: store for redis, else beginning)
      """, valueName: "place"))
  var from: ReplayPlace?
  @Option(
    help: ArgumentHelp(
      "With --into: end there; also end, the present one. (default: offsets for redis, else end)",
      valueName: "place"))
  var until: ReplayPlace?
  @Flag(help: "With --into redis: take the last snapshot of every entity instead of folding events.")
  var fromSnapshots = false
  @Option(
    help: ArgumentHelp(
      "With --into: read what plumb archive has kept here, and the topics from there on.", valueName: "dir"))
  var archive: String?
  @Option(help: "With --into: threads that fold, each some of the partitions. (default: one a core)")
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
    if until == .beginning || until == .store {
      throw ValidationError("--until is a place to end: end, offsets, TOPIC-PARTITION=OFFSET,... or a time.")
    }
    if fromSnapshots && (from != nil || until != nil || archive != nil) {
      throw ValidationError("--from-snapshots folds no events: leave --from, --until and --archive out.")
    }
    if into == .redis { return try validateStore() }
    if fromSnapshots || from == .store {
      throw ValidationError("--from-snapshots and --from store go with --into redis.")
    }
  }

  private func validateStore() throws {
    guard from == nil || from == .store || from == .beginning else {
      throw ValidationError(
        "--into redis takes --from store or beginning: states that lack the events before another place would pass for "
          + "whole. --into features folds any range into a file.")
    }
    if until == .end {
      throw ValidationError(
        "--into redis ends at the service's offsets or before them: what follows has to be sent as well, which plumb run "
          + "does, with --until end if it is to end.")
    }
  }

  /// Refuses what only goes with topics.
  func refuse() throws {
    if from != nil || until != nil || fromSnapshots || archive != nil || !flags.isEmpty {
      throw ValidationError(
        "--from, --until, --from-snapshots, --archive, --workers and the addresses go with --into, or with --triggers "
          + "without --events.")
    }
  }

  /// What a replay works with: a worker a core, if nobody says how many.
  func environment(_ plan: Plan) throws -> ReplayEnvironment {
    var settings = try settings()
    settings.setDefault(workers: ProcessInfo.processInfo.activeProcessorCount)
    return try settings.replayEnvironment(plan, archive: archive)
  }
}
