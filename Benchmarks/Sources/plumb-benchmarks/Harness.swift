import CAllocationCount
import Glibc

/// Processor time and allocations between starts and stops, added up.
struct Stopwatch {
  private(set) var nanoseconds: UInt64 = 0
  private(set) var allocations: UInt64 = 0
  private var startedAt: UInt64 = 0
  private var allocationsAtStart: UInt64 = 0

  mutating func start() {
    allocationsAtStart = allocation_count()
    startedAt = Self.now()
  }

  mutating func stop() {
    nanoseconds += Self.now() - startedAt
    allocations += allocation_count() - allocationsAtStart
  }

  /// Nanoseconds that the thread has had a processor: neighbours that take turns on it don't count.
  private static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

/// Runs what is measured a few times and prints a row of the table for it.
///
/// A machine's speed changes from hour to hour, so every repetition is paired with one of the baseline (finding
/// the lines of the same bytes), and the ratio of the two is the number to compare between runs.
struct Harness {
  let repetitions: Int
  private let baseline: EventBytes

  init(repetitions: Int, baseline: EventBytes) {
    self.repetitions = repetitions
    self.baseline = baseline
  }

  static func printHeading(_ title: String) {
    print("\n\(title)\n")
    print(
      "| " + pad("", 44) + " |    ns each | spread | millions/s | allocations | x baseline |\n"
        + "|" + String(repeating: "-", count: 46)
        + "|-----------:|-------:|-----------:|------------:|-----------:|")
  }

  /// Measures what `body` does between the starts and stops of its stopwatch; it does `count` things. The first
  /// repetition is the warm-up and is thrown away. Returns the median of the nanoseconds for one thing.
  @discardableResult
  func measure(_ name: String, count: Int, _ body: (inout Stopwatch) -> Void) -> Double {
    var times: [Double] = []
    var baselines: [Double] = []
    var allocations: UInt64 = 0
    for repetition in 0...repetitions {
      var stopwatch = Stopwatch()
      body(&stopwatch)
      let baselineTime = baseline.splitTime()
      if repetition == 0 { continue }
      times.append(Double(stopwatch.nanoseconds) / Double(count))
      baselines.append(baselineTime)
      allocations = stopwatch.allocations
    }
    times.sort()
    baselines.sort()
    let median = times[times.count / 2]
    let ratio = median / baselines[baselines.count / 2]
    let spread = (times[times.count - 1] - times[0]) / median * 100
    let cells = [
      pad(decimals(median, median < 100 ? 2 : 1), -10), pad(decimals(spread, 0) + " %", -6),
      pad(decimals(1000 / median, 2), -10),
      pad(decimals(Double(allocations) / Double(count), 4), -11), pad(decimals(ratio, 2), -10),
    ]
    print("| " + pad(name, 44) + " | " + cells.joined(separator: " | ") + " |")
    return median
  }
}

/// A text in a column; a negative width aligns it to the right.
func pad(_ text: String, _ width: Int) -> String {
  let blanks = String(repeating: " ", count: max(0, abs(width) - text.count))
  return width < 0 ? blanks + text : text + blanks
}

/// A number with a fixed count of decimals.
func decimals(_ value: Double, _ count: Int) -> String {
  let scale = (0..<count).reduce(1.0) { power, _ in power * 10 }
  let scaled = Int((value * scale).rounded())
  guard count > 0 else { return String(scaled) }
  let fraction = String(scaled % Int(scale))
  return "\(scaled / Int(scale))." + String(repeating: "0", count: count - fraction.count) + fraction
}

/// Keeps a result from being optimised away.
@inline(never)
func consume<Value>(_ value: borrowing Value) {}
