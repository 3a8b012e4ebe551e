import FeatureCore
import Testing

@Suite struct EventSchemaTests {
  @Test func anUndeclaredTimeFieldIsTheLastColumn() {
    let schema = EventSchema(.keyed)
    #expect(schema.columns.map(\.name) == ["user", "price", "ts"])
    #expect(schema.columns[2].type == .timestamp)
    #expect(schema.columns.map(\.unit) == [nil, nil, .milliseconds])
    #expect(schema.timeColumn == 2)
    #expect(schema.keyColumn == 0)
  }

  @Test func aDeclaredTimeFieldStaysWhereItIs() {
    let schema = EventSchema(.everyType)
    #expect(schema.columns.map(\.name) == ["s", "i", "d", "b", "ts", "at_s", "at_us", "at_ns", "at"])
    #expect(schema.timeColumn == 4)
    #expect(schema.keyColumn == nil)
    #expect(schema.columns[4].unit == .milliseconds)
    #expect(schema.columns[8].unit == .rfc3339)
  }

  @Test func expressionsSeeEveryColumn() {
    let columns = EventSchema(.keyed).expressionColumns
    #expect(
      columns == [
        ExpressionColumn("user", .string), ExpressionColumn("price", .double),
        ExpressionColumn("ts", .timestamp),
      ])
  }
}
