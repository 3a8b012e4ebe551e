/// What a record of a captured table says about its row, without its time; and the row after it.
enum RowContent {
  /// The record's bytes without the time at their end; nil if it isn't a row as `RowText` writes it.
  static func withoutTime(_ record: UnsafeRawBufferPointer, timeLabel label: [UInt8])
    -> UnsafeRawBufferPointer?
  {
    guard record.last == UInt8(ascii: "}") else { return nil }
    var digits = record.count - 1
    while digits > 0, record[digits - 1] != UInt8(ascii: ":") { digits -= 1 }
    let start = digits - label.count
    let isNumber = record[digits..<(record.count - 1)].allSatisfy {
      $0 == UInt8(ascii: "-") || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0
    }
    guard start > 0, isNumber, record[start..<digits].elementsEqual(label) else { return nil }
    return UnsafeRawBufferPointer(rebasing: record[..<start])
  }

  /// The row after a record: what it kept comes from the row before. What can't be told apart into fields is taken as it
  /// is, so that it differs from the table's row and is written anew.
  static func latest(
    _ previous: [UInt8]?, _ record: UnsafeRawBufferPointer, timeLabel: [UInt8]
  ) -> [UInt8] {
    guard let content = withoutTime(record, timeLabel: timeLabel) else { return Array(record) }
    let bytes = Array(content)
    // Nothing but the names of kept values ends like this.
    guard bytes.last == UInt8(ascii: "]"), let fields = fields(bytes), let kept = fields.last,
      kept.name == RowText.keptField,
      let previous, let before = self.fields(previous)
    else { return bytes }
    let keptNames = names(bytes[kept.value])
    var resolved: [UInt8] = [UInt8(ascii: "{")]
    for (index, field) in fields.dropLast().enumerated() {
      if index > 0 { resolved.append(UInt8(ascii: ",")) }
      resolved += bytes[field.label]
      if keptNames.contains(field.name), let old = before.first(where: { $0.name == field.name }) {
        resolved += previous[old.value]
      } else {
        resolved += bytes[field.value]
      }
    }
    return resolved
  }

  private struct Field {
    var name: String
    /// The name in its quotes, and the colon.
    var label: Range<Int>
    var value: Range<Int>
  }

  /// The fields of a flat object that isn't closed; nil if it is none.
  private static func fields(_ bytes: [UInt8]) -> [Field]? {
    guard bytes.first == UInt8(ascii: "{") else { return nil }
    var fields: [Field] = []
    var at = 1
    while at < bytes.count {
      guard let nameEnd = stringEnd(bytes, at), nameEnd < bytes.count, bytes[nameEnd] == UInt8(ascii: ":")
      else { return nil }
      guard let end = valueEnd(bytes, nameEnd + 1) else { return nil }
      let name = String(decoding: bytes[(at + 1)..<(nameEnd - 1)], as: UTF8.self)
      fields.append(Field(name: name, label: at..<(nameEnd + 1), value: (nameEnd + 1)..<end))
      if end == bytes.count { return fields }
      guard bytes[end] == UInt8(ascii: ",") else { return nil }
      at = end + 1
    }
    return nil
  }

  private static func stringEnd(_ bytes: [UInt8], _ start: Int) -> Int? {
    guard start < bytes.count, bytes[start] == UInt8(ascii: "\"") else { return nil }
    var at = start + 1
    while at < bytes.count {
      if bytes[at] == UInt8(ascii: "\"") { return at + 1 }
      at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1
    }
    return nil
  }

  private static func valueEnd(_ bytes: [UInt8], _ start: Int) -> Int? {
    guard start < bytes.count else { return nil }
    if bytes[start] == UInt8(ascii: "\"") { return stringEnd(bytes, start) }
    if bytes[start] == UInt8(ascii: "[") {
      return bytes[start...].firstIndex(of: UInt8(ascii: "]")).map { $0 + 1 }
    }
    return bytes[start...].firstIndex(of: UInt8(ascii: ",")) ?? bytes.count
  }

  /// The names in a list of texts.
  private static func names(_ list: ArraySlice<UInt8>) -> Set<String> {
    Set(
      list.dropFirst().dropLast().split(separator: UInt8(ascii: ","))
        .map { String(decoding: $0.dropFirst().dropLast(), as: UTF8.self) })
  }
}
