/// The hash of an index in memory: fast, and with a secret of the process, so that nobody can choose keys that collide.
///
/// Sixteen bytes at a time are masked with the secret and multiplied to 128 bits, whose halves are xored (the construction of
/// wyhash, https://github.com/wangyi-fudan/wyhash). XXH64 with a seed would not do: for keys of 64 bytes and more, some
/// collide with every second seed. It never reaches a byte of a state, and no result depends on it.
public struct KeyHash: Sendable {
  private let secrets: (UInt64, UInt64, UInt64)

  /// A hash with a secret.
  public init(secret: UInt64) {
    secrets = (
      Self.mixed(secret &+ 0x9E37_79B9_7F4A_7C15), Self.mixed(secret &+ 0x3C6E_F372_FE94_F82A),
      Self.mixed(secret &+ 0xDAA6_6D2C_7DDF_743F)
    )
  }

  /// The hash of a key.
  @inline(__always)
  func hash(_ key: UnsafeRawBufferPointer) -> UInt64 {
    let count = key.count
    var state = secrets.0
    var offset = 0
    while count - offset > 16 {
      state = Self.fold(word(key, offset) ^ secrets.1, word(key, offset + 8) ^ state)
      offset += 16
    }
    // The last 16 bytes, some of which may have been taken before, or all of a short key.
    let (low, high): (UInt64, UInt64)
    if count >= 16 {
      (low, high) = (word(key, count - 16), word(key, count - 8))
    } else if count >= 8 {
      (low, high) = (word(key, 0), word(key, count - 8))
    } else {
      (low, high) = (short(key), 0)
    }
    state = Self.fold(low ^ secrets.1, high ^ state)
    return Self.fold(state ^ secrets.2, UInt64(truncatingIfNeeded: count) ^ secrets.1)
  }

  /// Up to seven bytes.
  @inline(__always)
  private func short(_ key: UnsafeRawBufferPointer) -> UInt64 {
    var value: UInt64 = 0
    for byte in key { value = value << 8 | UInt64(byte) }
    return value
  }

  @inline(__always)
  private func word(_ key: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    UInt64(littleEndian: key.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  @inline(__always)
  private static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
  }

  /// SplitMix64's last step.
  private static func mixed(_ value: UInt64) -> UInt64 {
    var mixed = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
