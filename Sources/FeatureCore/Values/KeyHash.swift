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
    Self.fold(mix(secrets.0, key) ^ secrets.2, UInt64(truncatingIfNeeded: key.count) ^ secrets.1)
  }

  /// Takes bytes into a hash of several things.
  @inline(__always)
  func mix(_ hash: UInt64, _ key: UnsafeRawBufferPointer) -> UInt64 {
    let count = key.count
    var state = hash
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
    return Self.fold(low ^ secrets.1, high ^ state)
  }

  /// Takes a value into a hash of several things.
  @inline(__always)
  func mix(_ hash: UInt64, _ value: UInt64) -> UInt64 { Self.fold(value ^ secrets.1, hash ^ secrets.2) }

  /// The hash of a value.
  @inline(__always)
  func hash(_ value: UInt64) -> UInt64 { Self.fold(value ^ secrets.1, secrets.0) }

  /// Up to seven bytes: of four and more the first and the last four, of fewer the first, the middle and the last.
  @inline(__always)
  private func short(_ key: UnsafeRawBufferPointer) -> UInt64 {
    let count = key.count
    if count >= 4 {
      let first = key.loadUnaligned(fromByteOffset: 0, as: UInt32.self)
      let last = key.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self)
      return UInt64(UInt32(littleEndian: first)) << 32 | UInt64(UInt32(littleEndian: last))
    }
    if count == 0 { return 0 }
    return UInt64(key[0]) << 16 | UInt64(key[count / 2]) << 8 | UInt64(key[count - 1])
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
