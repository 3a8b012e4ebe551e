/// When a trigger is evaluated, and how often it fires.
public struct TriggerClock: Hashable, Sendable {
  /// Microseconds between two evaluations: it is evaluated at the multiples of this.
  public var every: Int64
  /// At how many of them in a row the condition has to hold.
  public var hops: Int
  /// Microseconds after which it may fire again; never when nil.
  public var againAfter: Int64?

  /// The number of the last hop boundary that is not after a time.
  @inline(__always)
  func boundary(notAfter time: Int64) -> Int64 { floorDivide(time, every) }

  /// The number of the first hop boundary that is not before a time.
  func boundary(notBefore time: Int64) -> Int64 { floorDivide(time - 1, every) + 1 }

  /// The first boundary that counts once it has fired at one; nil if none does.
  func rearmed(after fired: Int64) -> Int64? {
    againAfter.map { max(fired + 1, boundary(notBefore: fired * every + $0)) }
  }
}

/// Where a trigger of an entity is.
struct TriggerProgress: Hashable {
  /// Evaluations in a row, up to as_of, at which the condition held.
  var run = 0
  /// The number of the hop boundary at which it last fired.
  var fired: Int64?

  /// Bytes of its encoding at most: a run of up to `Limits.triggerHopsMax`, and a distance of less than 2^60.
  static let bytesMax = 2 + 9

  /// The run, doubled, and one more if it has fired; then by how many hops that is before as_of's.
  func encode(_ clock: TriggerClock, asOf: Int64, into writer: inout ByteWriter) {
    writer.varint(UInt64(run) << 1 | (fired == nil ? 0 : 1))
    if let fired { writer.varint(UInt64(clock.boundary(notAfter: asOf) - fired)) }
  }

  /// Refuses what no events could have led to.
  init(_ clock: TriggerClock, asOf: Int64, from reader: inout ByteReader) throws(StateError) {
    let word = try reader.varint()
    guard word >> 1 < UInt64(clock.hops) else { throw reader.corrupt("a trigger's run is too long") }
    run = Int(word >> 1)
    guard word & 1 == 1 else { return }
    let distance = try reader.varint()
    let latest = clock.boundary(notAfter: asOf)
    guard distance < 1 << 60,
      latest - Int64(distance) > clock.boundary(notAfter: Limits.eventTimeMin)
    else { throw reader.corrupt("a trigger has fired before time began") }
    let fired = latest - Int64(distance)
    self.fired = fired
    guard run > 0 else { return }
    guard let first = clock.rearmed(after: fired), Int64(run) <= latest - first + 1 else {
      throw reader.corrupt("a trigger counts before it may fire again")
    }
  }

  init(run: Int = 0, fired: Int64? = nil) {
    self.run = run
    self.fired = fired
  }
}

extension State {
  /// Where a trigger is.
  @inline(__always)
  func progress(_ trigger: Int, _ layout: StateLayout) -> TriggerProgress {
    let word = 1 + layout.levels.count + 2 * trigger
    return TriggerProgress(
      run: Int(words[word] >> 1), fired: words[word] & 1 == 0 ? nil : Int64(bitPattern: words[word + 1]))
  }

  mutating func setProgress(_ progress: TriggerProgress, _ trigger: Int, _ layout: StateLayout) {
    let word = 1 + layout.levels.count + 2 * trigger
    words[word] = UInt64(progress.run) << 1 | (progress.fired == nil ? 0 : 1)
    words[word + 1] = UInt64(bitPattern: progress.fired ?? 0)
  }
}
