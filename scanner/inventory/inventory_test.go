package inventory

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     List
	}{
		{
			"own columns",
			"asset_tag,serial,mac,address,manufacturer,model,status,end_of_support,ports,colour\n" +
				"A-1,SN1,00-1A-2B-3C-4D-5E,192.0.2.7,Acme,Pump 3,Active,2030-12-31,\"tcp/104, 443\",red\n\n",
			List{Ignored: []string{"colour"}, Rows: []Row{{Line: 2, Key: "asset_tag=a-1", Values: map[string]string{
				"asset_tag": "A-1", "serial": "SN1", "mac": "00:1a:2b:3c:4d:5e", "address": "192.0.2.7", "manufacturer": "Acme",
				"model": "Pump 3", "status": "active", "end_of_support": "2030-12-31", "ports": "tcp/104 tcp/443",
			}}}},
		},
		{
			"NetBox device export",
			"ID,Name,Status,Tenant,Site,Location,Rack,Role,Manufacturer,Type,IP Address,IPv4 Address,IPv6 Address,Serial number,Asset tag\n" +
				"7,ct-1,Active,Radiology,Main,Ward 3,—,CT,Acme,Scan 9,192.0.2.9/24,192.0.2.9/24,2001:db8::9/64,SN9,\n",
			List{Ignored: []string{"Role"}, Rows: []Row{{Line: 2, Key: "serial=sn9", Values: map[string]string{
				"name": "ct-1", "status": "active", "owner": "Radiology", "location": "Main Ward 3", "manufacturer": "Acme",
				"model": "Scan 9", "address": "192.0.2.9 2001:db8::9", "serial": "SN9",
			}}}},
		},
		{
			"semicolons and a byte order mark", "\xef\xbb\xbfname;address\nx;192.0.2.1\n",
			List{Rows: []Row{{Line: 2, Key: "address=192.0.2.1", Values: map[string]string{"name": "x", "address": "192.0.2.1"}}}},
		},
		{
			// The columns of DeviceTable in netbox/dcim/tables/devices.py of NetBox, all shown.
			"NetBox with all columns",
			"ID,Name,Status,Tenant,Role,Manufacturer,Type,Platform,Serial number,Asset tag,Site,Location,Rack,Position,Face,IP Address,IPv4 Address,IPv6 Address,Cluster,Virtual Chassis,VC Position,VC Priority,Comments,Tags\n" +
				"8,ct-1,Decommissioning,,CT,Acme,Scan 9,,SN9,A-9,Main,,,,,2001:db8::9/64,192.0.2.9/24,2001:db8::9/64,,,,,\"two\nlines, \"\"quoted\"\"\",\n",
			List{
				Ignored: []string{"Role", "Position", "Face", "Cluster", "Virtual Chassis", "VC Position", "VC Priority", "Comments", "Tags"},
				Rows: []Row{{Line: 2, Key: "asset_tag=a-9", Values: map[string]string{
					"name": "ct-1", "status": "decommissioning", "manufacturer": "Acme", "model": "Scan 9", "serial": "SN9", "asset_tag": "A-9",
					"location": "Main", "address": "2001:db8::9 192.0.2.9",
				}}},
			},
		},
		{
			"what a spreadsheet makes of it",
			"\xef\xbb\xbfsep=;\r\nInventory No.;Serial No;IP;MAC Address;Model\r\n\"=\"\"00123\"\"\";'=SN;192.0.2.7, 2001:db8::7;001a.2b3c.4d5e 00-1A-2B-3C-4D-5F;Größe 3\r\n;;;;\r\n",
			List{Rows: []Row{{Line: 3, Key: "asset_tag=00123", Values: map[string]string{
				"asset_tag": "00123", "serial": "=SN", "address": "192.0.2.7 2001:db8::7", "mac": "00:1a:2b:3c:4d:5e 00:1a:2b:3c:4d:5f", "model": "Größe 3",
			}}}},
		},
		{
			"what probity says itself states nothing",
			"asset_tag,probity_asset,probity_mac\nA-1,asset-0a1b2c3d4e5f,\n,asset-1a1b2c3d4e5f,00:1a:2b:3c:4d:5e\n",
			List{Rows: []Row{{Line: 2, Key: "asset_tag=a-1", Values: map[string]string{"asset_tag": "A-1"}}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Read("list.csv", strings.NewReader(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestRead_refuses(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "", "no header"},
		{"no rows", "serial\n", "no row"},
		{"no column that names a device", "colour,price\nred,3\n", `list.csv:1: no column names the device (have ["colour" "price"])`},
		{"bad address", "serial,address\na,192.0.2.7\nb,300.1.1.1\n", `list.csv:3: address "300.1.1.1" is no IP address; write it as`},
		{"bad MAC address", "mac\n12:34\n", "list.csv:2: MAC address"},
		{"bad certificate", "certificate\nabcd\n", "list.csv:2: certificate"},
		{"bad day", "serial,end_of_support\na,31.12.2030\n", "write the day as 2031-12-31"},
		{"bad port", "serial,ports\na,icmp/8\n", "write ports as"},
		{"a row of nothing", "serial,status\n,active\n", "list.csv:2: nothing names the device"},
		{"twice", "serial,status\nA,active\na,retired\n", `list.csv:3: "serial=a" is also on line 2`},
		{"too many fields", "serial\na,b\n", "2 fields below a header of 1"},
		{"bad quotes", "serial,name\n\"a,b\n", "quote fields"},
		{"not UTF-8", "serial\n\xff\n", "not UTF-8"},
		{"long", "serial\n" + strings.Repeat("x", 600) + "\n", "longer than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Read("list.csv", strings.NewReader(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if len(got.Rows) > 0 {
				t.Errorf("%d rows were taken", len(got.Rows))
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("serial,address\na,192.0.2.7\n"))
	f.Add([]byte("ID;Name;IP Address\n1;x;192.0.2.7/24\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Read("x", bytes.NewReader(data))
		if err != nil && len(l.Rows) > 0 {
			t.Error("rows in spite of an error")
		}
		for _, r := range l.Rows {
			if r.Key == "" {
				t.Error("a row without a key")
			}
		}
	})
}
