/// MurmurHash2 as Kafka's Java client has it (`org.apache.kafka.common.utils.Utils.murmur2`), which chooses the
/// partition of a keyed record; librdkafka calls that partitioner `murmur2_random`.
public enum Murmur2 {
  private static let seed: UInt32 = 0x9747_B28C
  private static let multiplier: UInt32 = 0x5BD1_E995

  /// The hash of a key.
  public static func hash(_ key: UnsafeRawBufferPointer) -> UInt32 {
    var hash = seed ^ UInt32(truncatingIfNeeded: key.count)
    var offset = 0
    while offset + 4 <= key.count {
      var word = UInt32(littleEndian: key.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
      word = word &* multiplier
      word ^= word &>> 24
      hash = (hash &* multiplier) ^ (word &* multiplier)
      offset += 4
    }
    let rest = key.count - offset
    if rest >= 3 { hash ^= UInt32(key[offset + 2]) &<< 16 }
    if rest >= 2 { hash ^= UInt32(key[offset + 1]) &<< 8 }
    if rest >= 1 {
      hash ^= UInt32(key[offset])
      hash = hash &* multiplier
    }
    hash ^= hash &>> 13
    hash = hash &* multiplier
    return hash ^ (hash &>> 15)
  }

  /// The partition of a key among `count`: Java's `toPositive(murmur2(key)) % count`.
  public static func partition(_ key: UnsafeRawBufferPointer, count: Int32) -> Int32 {
    precondition(count > 0, "Cannot choose among \(count) partitions")
    return Int32(bitPattern: hash(key) & 0x7FFF_FFFF) % count
  }
}
