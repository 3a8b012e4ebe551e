import FeatureCore

/// A compiled time zone (RFC 8536): the transitions of the past, and a rule for those to come.
struct TZif {
  private var transitions: [TimeZoneRules.Transition] = []
  private var initialOffset: Int64 = 0
  private var rule: PosixZoneRule?

  /// 1900-01-01T00:00:00Z and 2101-01-01T00:00:00Z.
  private static let firstSecond: Int64 = -2_208_988_800
  private static let endSecond: Int64 = 4_133_980_800
  private static let lastYear = 2100

  /// Reads the bytes of a file; nil if they are no compiled zone.
  init?(_ bytes: [UInt8]) {
    guard let first = Block(bytes, at: 0, timeBytes: 4) else { return nil }
    guard first.version >= UInt8(ascii: "2") else {
      guard read(first, bytes) else { return nil }
      return
    }
    guard let second = Block(bytes, at: first.end, timeBytes: 8), read(second, bytes) else { return nil }
    let footer = bytes[min(second.end, bytes.count)...]
    guard footer.first == UInt8(ascii: "\n"), let end = footer.dropFirst().firstIndex(of: UInt8(ascii: "\n"))
    else { return nil }
    let text = footer[(footer.startIndex + 1)..<end]
    if !text.isEmpty {
      guard let rule = PosixZoneRule(text) else { return nil }
      self.rule = rule
    }
  }

  private mutating func read(_ block: Block, _ bytes: [UInt8]) -> Bool {
    guard let initial = block.offset(ofType: 0, bytes) else { return false }
    initialOffset = initial
    for index in 0..<block.timeCount {
      guard let offset = block.offset(ofType: block.type(index, bytes), bytes) else { return false }
      transitions.append(
        TimeZoneRules.Transition(atSeconds: block.time(index, bytes), offsetSeconds: offset))
    }
    return zip(transitions, transitions.dropFirst()).allSatisfy { $0.atSeconds < $1.atSeconds }
  }

  /// Every change of the offset from 1900 to 2100.
  func rules(name: String) -> TimeZoneRules {
    var rules = TimeZoneRules(name: name, initialOffsetSeconds: initialOffset, transitions: [])
    var offset = initialOffset
    for transition in transitions + future() where transition.atSeconds < Self.endSecond {
      if transition.atSeconds < Self.firstSecond {
        rules.initialOffsetSeconds = transition.offsetSeconds
      } else if transition.offsetSeconds != offset {
        rules.transitions.append(transition)
      }
      offset = transition.offsetSeconds
    }
    return rules
  }

  /// What the rule says for the years behind the last transition of the table.
  private func future() -> [TimeZoneRules.Transition] {
    guard let rule else { return [] }
    let from = transitions.last?.atSeconds ?? Self.firstSecond
    let firstYear = max(CivilDate.year(ofSeconds: from), 1900)
    guard firstYear <= Self.lastYear else { return [] }
    return (firstYear...Self.lastYear).flatMap(rule.transitions(inYear:)).filter { $0.atSeconds > from }
  }

  /// Where the parts of a data block stand.
  private struct Block {
    let version: UInt8
    let timeCount: Int
    let end: Int
    private let typeCount: Int
    private let timeBytes: Int
    private let times: Int

    init?(_ bytes: [UInt8], at start: Int, timeBytes: Int) {
      let header = 44
      guard start >= 0, start + header <= bytes.count,
        bytes[start..<(start + 4)].elementsEqual("TZif".utf8)
      else { return nil }
      let counts = (0..<6).map { Int(truncatingIfNeeded: Self.integer(bytes, start + 20 + $0 * 4, 4)) }
      guard counts.allSatisfy({ (0...bytes.count).contains($0) }) else { return nil }
      let (utc, standard, leap, time) = (counts[0], counts[1], counts[2], counts[3])
      let (type, letters) = (counts[4], counts[5])
      version = bytes[start + 4]
      timeCount = time
      typeCount = type
      self.timeBytes = timeBytes
      times = start + header
      end = times + time * (timeBytes + 1) + type * 6 + letters + leap * (timeBytes + 4) + standard + utc
      // Leap seconds would make every moment behind them another one.
      guard type > 0, leap == 0, end <= bytes.count else { return nil }
    }

    func time(_ index: Int, _ bytes: [UInt8]) -> Int64 {
      Self.integer(bytes, times + index * timeBytes, timeBytes)
    }
    func type(_ index: Int, _ bytes: [UInt8]) -> Int { Int(bytes[times + timeCount * timeBytes + index]) }
    func offset(ofType type: Int, _ bytes: [UInt8]) -> Int64? {
      guard type < typeCount else { return nil }
      return Self.integer(bytes, times + timeCount * (timeBytes + 1) + type * 6, 4)
    }

    /// A big-endian two's complement integer.
    private static func integer(_ bytes: [UInt8], _ start: Int, _ count: Int) -> Int64 {
      let bits = bytes[start..<(start + count)].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      let unused = 64 - count * 8
      return Int64(bitPattern: bits << UInt64(unused)) >> Int64(unused)
    }
  }
}
