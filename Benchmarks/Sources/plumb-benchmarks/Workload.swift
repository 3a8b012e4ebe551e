import Clickstream
import Glibc

/// Events as NDJSON in memory, and where their lines are.
struct EventBytes {
  private(set) var bytes: [UInt8] = []
  /// Where each line begins, and where the one after the last would.
  private(set) var starts: [Int] = [0]

  /// Where the user's id is in each line.
  fileprivate(set) var users: [Range<Int>] = []

  var count: Int { starts.count - 1 }

  /// Calls with one line without its newline.
  func withLine(_ line: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
    bytes.withUnsafeBytes { bytes in
      body(UnsafeRawBufferPointer(rebasing: bytes[starts[line]..<(starts[line + 1] - 1)]))
    }
  }

  /// Visits every line without its newline. The memory stays where it is while `self` lives.
  @inline(__always)
  func forEachLine(_ body: (UnsafeRawBufferPointer, Int) -> Void) {
    bytes.withUnsafeBytes { bytes in
      for line in 0..<count {
        body(UnsafeRawBufferPointer(rebasing: bytes[starts[line]..<(starts[line + 1] - 1)]), line)
      }
    }
  }

  /// The baseline: nanoseconds a line for finding the ends of all lines.
  func splitTime() -> Double {
    var stopwatch = Stopwatch()
    var lines = 0
    stopwatch.start()
    bytes.withUnsafeBytes { bytes in
      var rest = bytes
      while let base = rest.baseAddress, let newline = memchr(base, 0x0A, rest.count) {
        lines += 1
        rest = UnsafeRawBufferPointer(rebasing: rest[(UnsafeRawPointer(newline) - base + 1)...])
      }
    }
    stopwatch.stop()
    precondition(lines == count, "Cannot find \(count) lines, found \(lines)")
    return Double(stopwatch.nanoseconds) / Double(lines)
  }

  /// Shop events of Zipf-distributed users in sessions, all of them good lines.
  static func clickstream(events: Int, users: Int, eventsPerSecond: Double) -> EventBytes {
    var options = ClickstreamOptions()
    options.users = users
    options.eventsPerSecond = eventsPerSecond
    options.malformedShare = 0
    var stream = Clickstream(options)
    var result = EventBytes()
    result.bytes.reserveCapacity(events * 224)
    result.starts.reserveCapacity(events + 1)
    for _ in 0..<events {
      let start = result.bytes.count
      let user = stream.writeNext(into: &result.bytes).userBytes
      result.users.append((user.lowerBound - start)..<(user.upperBound - start))
      result.starts.append(result.bytes.count)
    }
    return result
  }
}

/// Shop events whose users are drawn one by one, so that hardly any event finds its state in the cache and users'
/// events lie far apart: the worst case beside the clickstream's sessions.
struct ScatteredEvents {
  let users: Int
  /// Event time between two events, in milliseconds.
  let gapMilliseconds: Double
  private var random: UInt64 = 88_172_645_463_325_252
  private var count = 0
  private let startMilliseconds = 1_767_225_600_000

  init(users: Int, gapMilliseconds: Double) {
    self.users = users
    self.gapMilliseconds = gapMilliseconds
  }

  /// Replaces the buffer's contents by one line without its newline. Returns where the user's id is.
  @discardableResult
  mutating func write(into buffer: inout [UInt8]) -> Range<Int> {
    let user = zipf(users)
    let item = zipf(20_000)
    let action = draw() % 10
    let milliseconds = startMilliseconds + Int(Double(count) * gapMilliseconds)
    count += 1
    let type = action == 0 ? "purchase" : action < 3 ? "view" : action == 3 ? "click" : "impression"
    let price = "\(1 + draw() % 90).\(10 + draw() % 90)"
    buffer.removeAll(keepingCapacity: true)
    let start = #"{"event_id":"e\#(count)","ts":\#(milliseconds),"user_id":""#
    let line = """
      \(start)u\(user)","item_id":"i\(item)",\
      "category":"c\(item % 50)","event_type":"\(type)","price":\(price),"quantity":\(1 + draw() % 3),\
      "session_id":"s\(user)"}
      """
    buffer.append(contentsOf: line.utf8)
    return start.utf8.count..<(start.utf8.count + "u\(user)".utf8.count)
  }

  /// A rank from 1 with weights 1 / rank^0.75, whose distribution function is the fourth root.
  private mutating func zipf(_ count: Int) -> Int {
    let uniform = Double(draw() >> 11) / 9_007_199_254_740_992
    return 1 + Int(uniform * uniform * uniform * uniform * Double(count))
  }

  /// xorshift64 (Marsaglia, 2003).
  private mutating func draw() -> UInt64 {
    random ^= random << 13
    random ^= random >> 7
    random ^= random << 17
    return random
  }

  /// As many events in memory.
  static func bytes(events: Int, users: Int, gapMilliseconds: Double) -> EventBytes {
    var generator = ScatteredEvents(users: users, gapMilliseconds: gapMilliseconds)
    var result = EventBytes()
    var line: [UInt8] = []
    for _ in 0..<events {
      let user = generator.write(into: &line)
      result.append(line)
      result.users.append(user)
    }
    return result
  }
}

extension EventBytes {
  /// Appends a line.
  mutating func append(_ line: [UInt8]) {
    bytes.append(contentsOf: line)
    bytes.append(0x0A)
    starts.append(bytes.count)
  }
}
