/// Commands in the Redis protocol, ready to be sent at once.
///
/// Not hiredis' own formatter: that takes pointers to every argument, which borrowed Swift arrays don't have for
/// long, and its `write` raises SIGPIPE when the server is gone.
struct CommandBuffer {
  private(set) var bytes: [UInt8] = []
  private(set) var count = 0

  mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    count = 0
  }

  mutating func reserve(_ byteCount: Int) { bytes.reserveCapacity(bytes.count + byteCount) }

  /// Starts a command of so many arguments, its name included; append them next.
  mutating func begin(_ name: StaticString, arguments: Int) {
    count += 1
    appendHeader(UInt8(ascii: "*"), arguments)
    appendHeader(UInt8(ascii: "$"), name.utf8CodeUnitCount)
    bytes += UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
    endLine()
  }

  mutating func append(_ argument: some Collection<UInt8>) {
    appendHeader(UInt8(ascii: "$"), argument.count)
    bytes += argument
    endLine()
  }

  /// One argument in two parts.
  mutating func append(_ prefix: [UInt8], _ rest: some Collection<UInt8>) {
    appendHeader(UInt8(ascii: "$"), prefix.count + rest.count)
    bytes += prefix
    bytes += rest
    endLine()
  }

  /// A state's value, in its envelope.
  mutating func append(state: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer, position: Int64) {
    appendHeader(UInt8(ascii: "$"), StateEnvelope.headerBytes + state.count)
    StateEnvelope.append(state, key: key, position: position, to: &bytes)
    endLine()
  }

  mutating func append(_ text: String) { append(Array(text.utf8)) }

  mutating func append(_ number: Int64) { append(Array(String(number).utf8)) }

  /// AUTH; without a user as Redis' `default`.
  mutating func authenticate(_ user: String?, _ password: Secret) {
    begin("AUTH", arguments: user == nil ? 2 : 3)
    if let user { append(user) }
    append(password.value)
  }

  private mutating func appendHeader(_ kind: UInt8, _ number: Int) {
    bytes.append(kind)
    appendDecimal(number)
    endLine()
  }

  private mutating func appendDecimal(_ number: Int) {
    if number >= 10 { appendDecimal(number / 10) }
    bytes.append(UInt8(ascii: "0") + UInt8(number % 10))
  }

  private mutating func endLine() {
    bytes.append(UInt8(ascii: "\r"))
    bytes.append(UInt8(ascii: "\n"))
  }
}
