/// The type of a field, an expression or a feature value.
public enum ValueType: String, Sendable, Hashable, CaseIterable {
  /// UTF-8 text.
  case string
  /// A signed 64-bit integer.
  case int64
  /// A finite IEEE 754 binary64 number.
  case double
  /// True or false.
  case bool
  /// Microseconds since 1970-01-01T00:00:00Z, without leap seconds.
  case timestamp
}

/// One value of an event or an expression, 16 trivially copyable bytes. Its `ValueType` is static: the schema
/// or the compiler knows it, the value does not carry it.
///
/// Text is borrowed: a scalar holds the address of UTF-8 bytes that somebody else keeps alive (the record's
/// payload, a `TextArena`, a program's constants) for as long as the batch is folded.
public struct Scalar {
  /// What a scalar is, besides its bits.
  public enum Tag: UInt8, Sendable {
    /// A value of the static type.
    case value
    /// SQL's null.
    case null
    /// The computation failed; `bits` holds the raw value of a `ScalarFailure`.
    case failed
  }

  /// Int64 and timestamp: two's complement. double: IEEE bits. bool: 0 or 1. string: the address of its bytes.
  public var bits: UInt64
  /// For strings, the count of bytes; 0 otherwise.
  public var length: UInt32
  /// Value, null or failed.
  public var tag: Tag

  /// A scalar from its parts.
  @inlinable
  public init(bits: UInt64, length: UInt32 = 0, tag: Tag = .value) {
    self.bits = bits
    self.length = length
    self.tag = tag
  }

  /// SQL's null.
  @inlinable public static var null: Scalar { Scalar(bits: 0, tag: .null) }
  /// A null of a table's row whose value is the one of the row before: the database hadn't sent it again.
  static var kept: Scalar { Scalar(bits: 1, tag: .null) }
  /// A failed computation.
  @inlinable
  public static func failed(_ failure: ScalarFailure) -> Scalar {
    Scalar(bits: UInt64(failure.rawValue), tag: .failed)
  }
  /// An int64.
  @inlinable
  public static func int64(_ value: Int64) -> Scalar { Scalar(bits: UInt64(bitPattern: value)) }
  /// A double. The caller has checked that it is finite.
  @inlinable
  public static func double(_ value: Double) -> Scalar { Scalar(bits: value.bitPattern) }
  /// A bool.
  @inlinable
  public static func bool(_ value: Bool) -> Scalar { Scalar(bits: value ? 1 : 0) }
  /// Text that the caller keeps alive.
  @inlinable
  public static func text(_ bytes: UnsafeRawBufferPointer) -> Scalar {
    Scalar(
      bits: UInt64(UInt(bitPattern: bytes.baseAddress)), length: UInt32(truncatingIfNeeded: bytes.count))
  }

  /// Whether this is a value: neither null nor failed.
  @inlinable public var isValue: Bool { tag == .value }
  /// Whether this is a null that stands for the value of the row before.
  var isKept: Bool { tag == .null && bits == 1 }
  /// The bits as int64 or as a timestamp in microseconds.
  @inlinable public var int64: Int64 { Int64(bitPattern: bits) }
  /// The bits as a double.
  @inlinable public var double: Double { Double(bitPattern: bits) }
  /// Whether this is the value TRUE (not null, not failed).
  @inlinable public var isTrue: Bool { tag == .value && bits == 1 }
  /// The borrowed text.
  @inlinable public var text: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: UInt(bits)), count: Int(length))
  }
}

/// Why a computation has no value. The record that it belongs to goes to the dead letters.
public enum ScalarFailure: UInt8, Sendable, CaseIterable {
  /// An integer result beyond Int64.
  case integerOverflow = 1
  /// A floating-point result that is infinite or not a number.
  case notFinite
  /// A CAST of a text or number that does not denote a value of the target type.
  case castFailed
  /// A string function's result is longer than `Limits.textBytesMax`.
  case textTooLong
  /// An argument outside the function's domain, such as `sqrt(-1)`.
  case domain

  /// A sentence for people.
  public var explanation: String {
    switch self {
    case .integerOverflow: "integer overflow: the result does not fit int64"
    case .notFinite: "the result is not a finite number"
    case .castFailed: "CAST failed: the value does not denote one of the target type"
    case .textTooLong: "a string result is longer than \(Limits.textBytesMax) bytes"
    case .domain: "an argument is outside the function's domain"
    }
  }
}
