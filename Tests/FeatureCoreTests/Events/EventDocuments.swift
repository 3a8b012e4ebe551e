/// Generates JSON records for the columns s, i, d, b and ts: valid ones, and ones with mistakes.
struct EventDocuments {
  var random: EventRandom

  init(seed: UInt64) { random = EventRandom(seed: seed) }

  /// A record of valid JSON, most of them usable.
  mutating func record() -> [UInt8] {
    var members = [member("s"), member("i"), member("d"), member("b")].filter { _ in !random.chance(5) }
    if !random.chance(20) { members.append(key("ts") + colon() + time()) }
    for _ in 0..<random.below(4) {
      members.append(key(random.pick(["x", "", "sx", "tß", "a\\nb"])) + colon() + value(2))
    }
    if random.chance(12) { members.append(member(random.pick(["s", "i", "ts"]))) }
    members.shuffle(using: &random)
    return Array(
      (space() + "{" + space() + members.joined(separator: comma()) + space() + "}" + space()).utf8)
  }

  /// A record with a few bytes changed, so that it is nearly always invalid.
  mutating func mutant() -> [UInt8] {
    var bytes = record()
    for _ in 0...random.below(3) where !bytes.isEmpty { mutate(&bytes) }
    return bytes
  }

  private mutating func mutate(_ bytes: inout [UInt8]) {
    let at = random.below(bytes.count)
    switch random.below(8) {
    case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
    case 1: bytes[at] ^= 1 << UInt8(random.below(8))
    case 2: bytes.remove(at: at)
    case 3: bytes.removeSubrange(at...)
    case 4: bytes.insert(random.pick(Array(#"{}[]:,"\0123456789-+.eEtfnu /"#.utf8)), at: at)
    case 5: bytes.insert(contentsOf: Array(random.pick(Self.fragments).utf8), at: at)
    case 6: bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + 1 + random.below(12))], at: at)
    default: bytes.insert(contentsOf: random.pick(Self.badBytes), at: at)
    }
  }

  private static let fragments = [
    "null", "true", "NaN", "Infinity", "\\u", "\\ud83d", "\\ude00", "\\u0000", "\\\"", "//", "/**/", "1e5",
    "é", "😀",
    "[[", "]]", "{}", "\"s\":", ",\"i\":1", "\u{FEFF}", "\u{A0}",
  ]
  private static let badBytes: [[UInt8]] = [
    [0], [0x1F], [0x7F], [0x80], [0xC0, 0x80], [0xC3], [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xF0, 0x9F, 0x98],
    [0xF4, 0x90, 0x80, 0x80], [0xFF], [0xEF, 0xBB, 0xBF],
  ]

  private mutating func member(_ name: String) -> String {
    let wrong = random.chance(30)
    let text =
      switch name {
      case "s" where !wrong: string()
      case "i" where !wrong: random.chance(6) ? wholeNumber() : integer()
      case "d" where !wrong: number()
      case "b" where !wrong: random.pick(["true", "false"])
      case "ts" where !wrong: time()
      default: value(2)
      }
    return key(name) + colon() + (random.chance(10) ? "null" : text)
  }

  private mutating func key(_ name: String) -> String {
    guard random.chance(8), let first = name.unicodeScalars.first, first != "\\" else { return "\"\(name)\"" }
    let digits = String(first.value, radix: 16)
    return "\"\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits + name.dropFirst() + "\""
  }

  private mutating func space() -> String {
    random.chance(4) ? random.pick([" ", "  ", "\n", "\t", "\r\n", "           "]) : ""
  }
  private mutating func colon() -> String { space() + ":" + space() }
  private mutating func comma() -> String { space() + "," + space() }
  private mutating func time() -> String {
    let time = String(1_454_255_994_000 + random.below(1_000_000_000))
    return random.chance(6) ? "\(time).\(digits(1 + random.below(30)))" : time
  }

  /// An integer with a point or an exponent.
  private mutating func wholeNumber() -> String {
    let zeros = String(repeating: "0", count: 1 + random.below(30))
    return random.pick([
      "\(integer()).\(zeros)", "\(random.below(1000))e\(random.below(17))", "12.5e\(1 + random.below(17))",
      "\(random.below(1000))\(zeros)e-\(zeros.utf8.count)",
    ])
  }

  private mutating func value(_ depth: Int) -> String {
    switch random.below(depth > 0 ? 8 : 6) {
    case 0, 1: return string()
    case 2: return integer()
    case 3: return number()
    case 4: return random.pick(["true", "false", "true", "false", "NaN", "Infinity", "-Infinity"])
    case 5: return "null"
    case 6: return "[" + (0..<random.below(4)).map { _ in value(depth - 1) }.joined(separator: comma()) + "]"
    default:
      let members = (0..<random.below(3)).map { _ in
        key(random.pick(["s", "i", "y"])) + colon() + value(depth - 1)
      }
      return "{" + space() + members.joined(separator: comma()) + space() + "}"
    }
  }

  private mutating func string() -> String {
    let parts = [
      "a", "click", "0123456789", " ", "é", "日本語", "😀", "\u{7F}", "\u{FFFF}", "\\n", "\\t", "\\\\", "\\\"",
      "\\/",
      "\\b", "\\f", "\\r", "\\u0000", "\\u00e9", "\\u20AC", "\\ud83d\\ude00", "\\uFFFF", "'", "//",
    ]
    return "\"" + (0..<random.below(6)).map { _ in random.pick(parts) }.joined() + "\""
  }

  private mutating func digits(_ count: Int) -> String {
    (0..<count).map { _ in String(random.below(10)) }.joined()
  }

  private mutating func integer() -> String {
    let edges = [
      "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "-0",
    ]
    if random.chance(8) { return random.pick(edges) }
    let magnitude = random.chance(6) ? "0" : String(1 + random.below(9)) + digits(random.below(19))
    return (random.chance(3) ? "-" : "") + magnitude
  }

  private mutating func number() -> String {
    var text = integer()
    if random.chance(2) { text += "." + digits(1 + random.below(18)) }
    if random.chance(3) {
      text +=
        random.pick(["e", "E"]) + random.pick(["", "+", "-"])
        + String(random.below(random.chance(10) ? 400 : 40))
    }
    return text
  }
}
