def test_the_fields_of_an_object_that_may_be_null_are_shown(client):
    page = client.get("/docs").get_data(as_text=True)
    for field in ("value.margin", "value.annual_discount_rate", "expected_value.mean"):
        assert field in page, field
