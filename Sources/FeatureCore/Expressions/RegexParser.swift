/// Reads the syntax of RE2 as far as it goes without Unicode tables and flags inside of a pattern.
struct RegexParser {
  private typealias Class = RegexPattern.Class

  private let scalars: [UInt32]
  private var at = 0
  private var depth = 0
  private var ignoresCase = false
  private(set) var groupCount = 0

  private static let depthMax = 64
  private static let repeatMax = 1_000

  init(_ text: String) { scalars = text.unicodeScalars.map(\.value) }

  mutating func parse() throws(RegexPattern.Mistake) -> RegexTree {
    if matches("(?i)") { ignoresCase = true }
    let tree = try choice()
    guard at == scalars.count else { throw mistake("a ')' closes nothing") }
    return tree
  }

  private func mistake(_ message: String) -> RegexPattern.Mistake {
    RegexPattern.Mistake(message: message, offset: at)
  }

  private var current: Character? {
    at < scalars.count ? Unicode.Scalar(scalars[at]).map(Character.init) : nil
  }

  /// Goes over a text if it stands here.
  private mutating func matches(_ text: String) -> Bool {
    let wanted = text.unicodeScalars.map(\.value)
    guard scalars[at...].starts(with: wanted) else { return false }
    at += wanted.count
    return true
  }

  private mutating func choice() throws(RegexPattern.Mistake) -> RegexTree {
    guard depth < Self.depthMax else { throw mistake("groups are nested too deep") }
    depth += 1
    defer { depth -= 1 }
    var parts = [try sequence()]
    while matches("|") { parts.append(try sequence()) }
    return parts.count == 1 ? parts[0] : .choice(parts)
  }

  private mutating func sequence() throws(RegexPattern.Mistake) -> RegexTree {
    var parts: [RegexTree] = []
    while let next = current, next != "|", next != ")" { parts.append(try repetition()) }
    return parts.isEmpty ? .empty : parts.count == 1 ? parts[0] : .sequence(parts)
  }

  private mutating func repetition() throws(RegexPattern.Mistake) -> RegexTree {
    var tree = try atom()
    var isRepeated = false
    while true {
      let bounds: (least: Int, most: Int?)
      if matches("*") {
        bounds = (0, nil)
      } else if matches("+") {
        bounds = (1, nil)
      } else if matches("?") {
        bounds = (0, 1)
      } else if let counted = try counts() {
        bounds = counted
      } else {
        return tree
      }
      guard !isRepeated else { throw mistake("a repetition of a repetition: use parentheses") }
      isRepeated = true
      tree = .repeated(tree, least: bounds.least, most: bounds.most, isLazy: matches("?"))
    }
  }

  /// `{n}`, `{n,}` or `{n,m}`; any other brace stands for itself.
  private mutating func counts() throws(RegexPattern.Mistake) -> (least: Int, most: Int?)? {
    let start = at
    guard matches("{") else { return nil }
    guard let least = number() else {
      at = start
      return nil
    }
    var most: Int? = least
    if matches(",") { most = number() }
    guard matches("}") else {
      at = start
      return nil
    }
    guard least <= Self.repeatMax, most ?? 0 <= Self.repeatMax else {
      throw mistake("more than \(Self.repeatMax) repetitions")
    }
    guard least <= most ?? least else { throw mistake("the repetition ends before it begins") }
    return (least, most)
  }

  private mutating func number() -> Int? {
    let start = at
    var value = 0
    while at < scalars.count, (0x30...0x39).contains(scalars[at]) {
      value = min(value * 10 + Int(scalars[at] - 0x30), Self.repeatMax + 1)
      at += 1
    }
    return at > start ? value : nil
  }

  private mutating func atom() throws(RegexPattern.Mistake) -> RegexTree {
    guard let next = current else { throw mistake("the pattern ends too early") }
    switch next {
    case "(":
      at += 1
      return try group()
    case "[":
      at += 1
      return .one(try bracket())
    case ".":
      at += 1
      return .one(Class(ranges: [0x0A...0x0A], isNegated: true))
    case "^":
      at += 1
      return .edge(.start)
    case "$":
      at += 1
      return .edge(.end)
    case "*", "+", "?": throw mistake("'\(next)' repeats nothing")
    case "\\":
      at += 1
      if matches("b") { return .edge(.wordEdge) }
      if matches("B") { return .edge(.noWordEdge) }
      if matches("A") { return .edge(.start) }
      if matches("z") { return .edge(.end) }
      return .one(cased(try escape()))
    default:
      at += 1
      return .one(cased(Class(ranges: [scalars[at - 1]...scalars[at - 1]])))
    }
  }

  private mutating func group() throws(RegexPattern.Mistake) -> RegexTree {
    var number: Int?
    if matches("?") {
      if matches("P<") || matches("<") {
        guard let end = scalars[at...].firstIndex(of: 0x3E), end > at else {
          throw mistake("a group's name has no end")
        }
        at = end + 1
        groupCount += 1
        number = groupCount
      } else if !matches(":") {
        throw mistake("only (?:...) and (?<name>...) are understood, and (?i) at the beginning")
      }
    } else {
      groupCount += 1
      number = groupCount
    }
    let inner = try choice()
    guard matches(")") else { throw mistake("a '(' is not closed") }
    return number.map { .group(inner, $0) } ?? inner
  }

  /// Behind a `[`.
  private mutating func bracket() throws(RegexPattern.Mistake) -> Class {
    let isNegated = matches("^")
    var ranges: [ClosedRange<UInt32>] = []
    var isFirst = true
    while isFirst || current != "]" {
      guard current != nil else { throw mistake("a '[' is not closed") }
      isFirst = false
      let low = try bracketPart()
      guard low.ranges.count == 1, let only = low.ranges.first, only.count == 1, !low.isNegated,
        at + 1 < scalars.count, current == "-", scalars[at + 1] != 0x5D
      else {
        ranges += low.isNegated ? Self.complement(low.ranges) : low.ranges
        continue
      }
      at += 1
      let high = try bracketPart()
      guard high.ranges.count == 1, let last = high.ranges.first, last.count == 1, !high.isNegated,
        only.lowerBound <= last.lowerBound
      else { throw mistake("a range ends before it begins") }
      ranges.append(only.lowerBound...last.lowerBound)
    }
    at += 1
    var set = cased(Class(ranges: ranges))
    set.isNegated = isNegated
    return set
  }

  private mutating func bracketPart() throws(RegexPattern.Mistake) -> Class {
    if matches("\\") { return try escape() }
    guard at < scalars.count else { throw mistake("a '[' is not closed") }
    at += 1
    return Class(ranges: [scalars[at - 1]...scalars[at - 1]])
  }

  private static let digits: [ClosedRange<UInt32>] = [0x30...0x39]
  private static let words: [ClosedRange<UInt32>] = [0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A]
  private static let spaces: [ClosedRange<UInt32>] = [0x09...0x0A, 0x0C...0x0D, 0x20...0x20]

  /// Behind a backslash.
  private mutating func escape() throws(RegexPattern.Mistake) -> Class {
    guard let next = current else { throw mistake("the pattern ends with its escape character") }
    let scalar = scalars[at]
    at += 1
    func one(_ scalar: UInt32) -> Class { Class(ranges: [scalar...scalar]) }
    switch next {
    case "d": return Class(ranges: Self.digits)
    case "D": return Class(ranges: Self.digits, isNegated: true)
    case "w": return Class(ranges: Self.words)
    case "W": return Class(ranges: Self.words, isNegated: true)
    case "s": return Class(ranges: Self.spaces)
    case "S": return Class(ranges: Self.spaces, isNegated: true)
    case "n": return one(0x0A)
    case "r": return one(0x0D)
    case "t": return one(0x09)
    case "f": return one(0x0C)
    case "v": return one(0x0B)
    case "0"..."9": throw mistake("back references can't be matched in linear time")
    case _ where next.isLetter && next.isASCII: throw mistake("there is no escape '\\\(next)'")
    default: return one(scalar)
    }
  }

  private static func complement(_ ranges: [ClosedRange<UInt32>]) -> [ClosedRange<UInt32>] {
    var result: [ClosedRange<UInt32>] = []
    var next: UInt32 = 0
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if range.lowerBound > next { result.append(next...(range.lowerBound - 1)) }
      next = max(next, range.upperBound + 1)
    }
    if next <= 0x10FFFF { result.append(next...0x10FFFF) }
    return result
  }

  /// With (?i) the other case of ASCII letters too.
  private func cased(_ set: Class) -> Class {
    guard ignoresCase else { return set }
    var ranges = set.ranges
    for range in set.ranges {
      for (letters, distance) in [(UInt32(0x41)...0x5A, 32), (UInt32(0x61)...0x7A, -32)]
        as [(ClosedRange<UInt32>, Int)]
      {
        let low = max(range.lowerBound, letters.lowerBound)
        let high = min(range.upperBound, letters.upperBound)
        if low <= high { ranges.append(UInt32(Int(low) + distance)...UInt32(Int(high) + distance)) }
      }
    }
    return Class(ranges: ranges, isNegated: set.isNegated)
  }
}
