import CPipeline
import Foundation

/// The baseline in a process of its own, so that its CPU time is told apart as the service's is.
enum RawPipeline {
  /// What the service was seen to write.
  struct Load {
    var writesPerEvent: Double
    var eventsPerCommit: Int
    var stateBytes: Int
    var snapshotBytes: Int
  }

  static func start(
    _ site: Site, _ application: String, topic: String, events: Int, _ load: Load
  ) throws
    -> Process
  {
    try Site.start(
      "/proc/self/exe",
      [
        "pipeline", site.brokers, application, topic, site.redisPath, "\(events)", "\(load.eventsPerCommit)",
        "\(load.writesPerEvent)", "\(load.stateBytes)", "\(load.snapshotBytes)",
      ], output: FileHandle.nullDevice)
  }

  /// The process's work: `brokers application topic redis events commit-records writes-per-event state-bytes snapshot-bytes`.
  static func main(_ arguments: ArraySlice<String>) -> Never {
    let texts = arguments.map { strdup($0)! }
    var options = pipeline_options()
    options.brokers = UnsafePointer(texts[0])
    options.group = UnsafePointer(texts[1])
    options.topic = UnsafePointer(texts[2])
    options.snapshot_topic = UnsafePointer(strdup("\(String(cString: texts[1])).snapshots"))
    options.redis_path = UnsafePointer(texts[3])
    options.prefix = UnsafePointer(strdup("\(String(cString: texts[1])):1:"))
    options.partitions = Int32(Site.partitions)
    options.records = atol(texts[4])
    options.records_per_commit = atoi(texts[5])
    options.writes_per_record = atof(texts[6])
    options.state_bytes = atoi(texts[7])
    options.snapshot_bytes = atoi(texts[8])
    pipeline_run(&options)
    exit(0)
  }
}
