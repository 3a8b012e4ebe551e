/// What librdkafka's statistics tell about the brokers.
enum BrokerStatistics {
  private static let key = Array("\"rxidle\":".utf8)

  /// Microseconds since any broker has last sent something; nil if none ever has.
  static func idleMicroseconds(_ json: UnsafeRawBufferPointer) -> Int64? {
    let key = key
    var least: Int64?
    var rest = json[...]
    while let start = rest.firstIndex(of: key[0]) {
      rest = rest[start...]
      guard rest.starts(with: key) else {
        rest = rest.dropFirst()
        continue
      }
      rest = rest.dropFirst(key.count)
      let digits = rest.prefix { $0 == UInt8(ascii: "-") || (0x30...0x39).contains($0) }
      if let number = Int64(String(decoding: digits, as: UTF8.self)), number >= 0 {
        least = min(least ?? number, number)
      }
    }
    return least
  }
}
