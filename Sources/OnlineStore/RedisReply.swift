import CHiredis

/// The owner of a reply of hiredis.
struct RedisReply: ~Copyable {
  private let raw: UnsafeMutablePointer<redisReply>

  init(owning raw: UnsafeMutableRawPointer) { self.raw = raw.assumingMemoryBound(to: redisReply.self) }

  deinit { freeReplyObject(raw) }

  /// The reply's content, borrowed: not to outlive `body`.
  func read<Result, Failure: Error>(
    _ body: (RedisValue) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(RedisValue(raw))
  }
}

/// A part of a reply, valid as long as its owner.
struct RedisValue {
  enum Kind {
    case string
    case array
    case integer
    case null
    case status
    case error
  }

  private let raw: UnsafeMutablePointer<redisReply>

  init(_ raw: UnsafeMutablePointer<redisReply>) { self.raw = raw }

  var kind: Kind {
    switch raw.pointee.type {
    case REDIS_REPLY_STRING: .string
    case REDIS_REPLY_ARRAY: .array
    case REDIS_REPLY_INTEGER: .integer
    case REDIS_REPLY_NIL: .null
    case REDIS_REPLY_STATUS: .status
    case REDIS_REPLY_ERROR: .error
    default: preconditionFailure("Cannot read a reply of type \(raw.pointee.type)")
    }
  }

  var isNull: Bool { kind == .null }

  var integer: Int64 { raw.pointee.integer }

  /// The bytes of a string, a status or an error.
  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: raw.pointee.str, count: raw.pointee.str == nil ? 0 : raw.pointee.len)
  }

  var text: String { String(decoding: bytes, as: UTF8.self) }

  /// The error's text; nil if the reply is none.
  var error: String? { kind == .error ? text : nil }

  var count: Int { kind == .array ? raw.pointee.elements : 0 }

  subscript(index: Int) -> RedisValue {
    precondition(index >= 0 && index < count, "Cannot read element \(index) of \(count)")
    guard let element = raw.pointee.element[index] else {
      preconditionFailure("Cannot read element \(index): hiredis left it out")
    }
    return RedisValue(element)
  }
}
