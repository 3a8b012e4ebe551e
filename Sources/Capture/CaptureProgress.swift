/// How far a table has been captured: a record of the progress topic, written in the same Kafka transaction as the rows.
public struct CaptureProgress: Sendable, Hashable {
  /// Everything before this place of the database's log is in the topic; nil while the table is being compared, and where
  /// it is only compared.
  public var place: LogSequenceNumber?
  /// The largest time of a row so far, in microseconds: times never go back.
  public var time: Int64

  /// Progress from its parts.
  public init(place: LogSequenceNumber?, time: Int64) {
    self.place = place
    self.time = time
  }

  /// The record's value: `{"lsn":"0/16B3748","time_us":1767225600000000}`.
  public var record: [UInt8] {
    Array("{\"lsn\":\(place.map { "\"\($0)\"" } ?? "null"),\"time_us\":\(time)}".utf8)
  }

  /// From a record's value; nil if it is none.
  public init?(record: some Collection<UInt8>) {
    let text = String(decoding: record, as: UTF8.self)
    guard text.hasPrefix("{\"lsn\":"), text.hasSuffix("}"),
      let comma = text.firstIndex(of: ","), let colon = text.lastIndex(of: ":"),
      let time = Int64(text[text.index(after: colon)...].dropLast())
    else { return nil }
    let place = text[text.index(text.startIndex, offsetBy: 7)..<comma]
    self.time = time
    if place == "null" {
      self.place = nil
    } else {
      guard let number = LogSequenceNumber(place.dropFirst().dropLast()) else { return nil }
      self.place = number
    }
  }
}
