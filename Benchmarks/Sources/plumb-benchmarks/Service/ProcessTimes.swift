import Foundation

/// Seconds of CPU that the threads of a process have used, by what they do.
struct ProcessTimes {
  /// librdkafka's threads.
  var library = 0.0
  /// The process's own threads.
  var own = 0.0
  var total: Double { library + own }

  init() {}

  /// Of a process that runs. Nanoseconds from the scheduler, not ticks of 10 ms.
  init(of process: Int32) {
    let folder = "/proc/\(process)/task"
    for thread in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
      guard let name = try? String(contentsOfFile: "\(folder)/\(thread)/comm", encoding: .utf8),
        let times = try? String(contentsOfFile: "\(folder)/\(thread)/schedstat", encoding: .utf8),
        let nanoseconds = times.split(separator: " ").first.flatMap({ Double($0) })
      else { continue }
      if name.hasPrefix("rdk:") { library += nanoseconds / 1e9 } else { own += nanoseconds / 1e9 }
    }
  }

  static func - (a: Self, b: Self) -> Self {
    var difference = Self()
    difference.library = a.library - b.library
    difference.own = a.own - b.own
    return difference
  }
}

/// Seconds of a steady clock.
func steadySeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
