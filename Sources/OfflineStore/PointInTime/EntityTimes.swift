/// The last time of each of some entities, which stand here as hashes: two that share one share the later time.
///
/// Bounded: beyond `entitiesMax` it knows nothing any more.
final class EntityTimes {
  private struct Slot {
    var hash: UInt64
    var time: Int64
  }

  /// 32 bytes each, as slots are half empty: the smaller part of what a join may use.
  private let entitiesMax: Int
  @exclusivity(unchecked) private var slots: ContiguousArray<Slot>
  private var count = 0
  /// nil as long as none has the hash 0, which marks free slots.
  @exclusivity(unchecked) private var zero: Int64?
  /// Whether it knows every entity.
  @exclusivity(unchecked) private(set) var isComplete = true

  init(bytesMax: Int) {
    entitiesMax = max(64, bytesMax / 32)
    slots = ContiguousArray(repeating: Slot(hash: 0, time: 0), count: 128)
  }

  /// Adds an entity, or makes its time later.
  func note(_ hash: UInt64, _ time: Int64) {
    guard isComplete else { return }
    guard hash != 0 else { return zero = max(zero ?? time, time) }
    let place = place(of: hash)
    if slots[place].hash == hash { return slots[place].time = max(slots[place].time, time) }
    guard count < entitiesMax else { return forget() }
    slots[place] = Slot(hash: hash, time: time)
    count += 1
    if count * 2 > slots.count { grow() }
  }

  /// From now on it knows nothing.
  func forget() {
    isComplete = false
    slots = []
  }

  /// The last time of an entity; nil if it is none of these. It must know every entity.
  @inline(__always)
  func last(_ hash: UInt64) -> Int64? {
    guard hash != 0 else { return zero }
    let place = place(of: hash)
    return slots[place].hash == hash ? slots[place].time : nil
  }

  @inline(__always)
  private func place(of hash: UInt64) -> Int {
    let mask = slots.count - 1
    var place = Int(truncatingIfNeeded: hash) & mask
    while slots[place].hash != 0, slots[place].hash != hash { place = (place + 1) & mask }
    return place
  }

  private func grow() {
    let old = slots
    slots = ContiguousArray(repeating: Slot(hash: 0, time: 0), count: old.count * 2)
    for slot in old where slot.hash != 0 { slots[place(of: slot.hash)] = slot }
  }
}
