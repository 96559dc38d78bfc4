package main

import (
	"encoding/json"
	"testing"

	"stack/scheduler"
)

func TestProgressLines(t *testing.T) {
	for _, c := range []struct {
		reply scheduler.Reply
		want  string
	}{
		{scheduler.Reply{Event: &scheduler.Event{Type: "container", Name: "p-web-1", Progress: "Creating"}},
			`{"id":"Container p-web-1","status":"Working","text":"Creating"}`},
		{scheduler.Reply{Event: &scheduler.Event{Type: "network", Name: "p_default", Progress: "Error", Error: "no room"}},
			`{"id":"Network p_default","status":"Error","text":"Error","details":"no room"}`},
		{scheduler.Reply{Event: &scheduler.Event{Type: "image", Name: "nginx", Progress: "Skipped Image can be built"}},
			`{"id":"Image nginx","status":"Done","text":"Skipped","details":"Image can be built"}`},
		{scheduler.Reply{Event: &scheduler.Event{Type: typeLayer, Name: "nginx", ID: "abc", Progress: "Download complete", Attributes: map[string]string{"current": "5", "total": "10"}}},
			`{"id":"abc","parent_id":"Image nginx","status":"Done","text":"Download complete","current":5,"total":10,"percent":50}`},
		{scheduler.Reply{Warning: "careful"}, `{"status":"Warning","text":"careful"}`},
	} {
		line, ok := lineOf(c.reply)
		if text, err := json.Marshal(line); err != nil || !ok || string(text) != c.want {
			t.Errorf("got %s, want %s", text, c.want)
		}
	}
	for _, silent := range []scheduler.Reply{{Done: true}, {Event: &scheduler.Event{Type: "container", Action: "start"}}} {
		if line, ok := lineOf(silent); ok {
			t.Errorf("%+v", line)
		}
	}
}
