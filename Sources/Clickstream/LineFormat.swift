/// What is wrong with a malformed line.
enum Damage: UInt32, CaseIterable, Sendable {
  /// The line stops in the middle.
  case truncated
  /// The user is a number.
  case wrongType
  case missingUser
  case missingTime
  case invalidUTF8
  /// Microseconds where milliseconds are declared: an event in a year of five digits.
  case timeInFuture
  /// An integer beyond 64 bits.
  case numberOverflow
}

/// Writes lines into memory that has room for the longest.
struct LineFormat {
  /// The fixed text is about 150 bytes, the eight numbers at most 20 each.
  static let lineBytesMax = 512

  private let base: UnsafeMutablePointer<UInt8>
  private(set) var count = 0
  /// The user's id inside the line; empty without one.
  private(set) var user = 0..<0

  init(_ memory: UnsafeMutableBufferPointer<UInt8>) {
    guard let base = memory.baseAddress, memory.count >= Self.lineBytesMax else {
      preconditionFailure("Cannot write a line into \(memory.count) bytes")
    }
    self.base = base
  }

  @inline(__always)
  mutating func write(_ event: ShopEvent, _ catalogue: Catalogue, damage: Damage?) {
    literal("{\"event_id\":\"e")
    number(event.id)
    literal("\"")
    if damage != .missingTime {
      literal(",\"ts\":")
      number(UInt64(event.milliseconds) &* (damage == .timeInFuture ? 1_000 : 1))
    }
    if damage != .missingUser { writeUser(event.user, isText: damage != .wrongType) }
    literal(",\"item_id\":\"i")
    number(UInt64(event.item) + 1)
    if damage == .invalidUTF8 { byte(0xFF) }
    literal("\",\"category\":\"c")
    number(UInt64(catalogue.category(of: event.item)) + 1)
    literal("\",\"event_type\":\"")
    literal(event.action.name)
    literal("\",\"price\":")
    if event.action.hasPrice { price(catalogue.priceCents(of: event.item)) } else { literal("null") }
    literal(",\"quantity\":")
    if damage == .numberOverflow {
      literal("99999999999999999999")
    } else if event.action.hasQuantity {
      number(UInt64(event.quantity))
    } else {
      literal("null")
    }
    literal(",\"session_id\":\"s")
    number(event.session)
    literal("\"}\n")
  }

  /// Ends the line early: nobody's JSON is complete before its last brace.
  mutating func truncate(_ random: inout Random) {
    count = 1 + Int(random.below(UInt32(count - 2)))
    if user.upperBound > count { user = 0..<0 }
    byte(0x0A)
  }

  private mutating func writeUser(_ user: UInt32, isText: Bool) {
    guard isText else {
      literal(",\"user_id\":")
      number(UInt64(user) + 1)
      return
    }
    literal(",\"user_id\":\"")
    let start = count
    literal("u")
    number(UInt64(user) + 1)
    self.user = start..<count
    literal("\"")
  }

  @inline(__always)
  private mutating func byte(_ byte: UInt8) {
    base[count] = byte
    count += 1
  }

  @inline(__always)
  private mutating func literal(_ text: StaticString) {
    (base + count).update(from: text.utf8Start, count: text.utf8CodeUnitCount)
    count += text.utf8CodeUnitCount
  }

  @inline(__always)
  private mutating func number(_ value: UInt64) {
    var digits = 1
    var rest = value
    while rest >= 10 {
      rest /= 10
      digits += 1
    }
    var position = count + digits
    count = position
    rest = value
    repeat {
      position -= 1
      base[position] = UInt8(truncatingIfNeeded: 0x30 + rest % 10)
      rest /= 10
    } while rest > 0
  }

  private mutating func price(_ cents: UInt64) {
    number(cents / 100)
    byte(0x2E)
    byte(UInt8(truncatingIfNeeded: 0x30 + cents / 10 % 10))
    byte(UInt8(truncatingIfNeeded: 0x30 + cents % 10))
  }
}
